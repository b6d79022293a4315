"""`lifeiqa score`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lifeiqa.cli import options
from lifeiqa.cli.score_inputs import inputs
from lifeiqa.cli.shared import File, Folder, guarded
from lifeiqa.errors import ConfigError
from lifeiqa.weights import model_file

if TYPE_CHECKING:
    from lifeiqa.bulk.inputs.expand import InputOptions


@click.command(epilog="Example: lifeiqa score photos --recursive --out scores")
@guarded
@inputs
@click.option("--crops", metavar="PLAN", help="center, cover, five, grid:N or random:N:SEED.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "csv", "jsonl", "parquet"]),
    help="Format of the rows.  [default: table, or csv with --out]",
)
@click.option(
    "-o",
    "--out",
    type=Folder,
    help="Folder for shards of rows; a run that was killed continues there.",
)
@click.option(
    "--shard", type=int, default=1000, show_default=True, help="Inputs per shard of --out."
)
@click.option("--html", type=File, help="Write a page with thumbnails.")
@click.option("--workers", type=int, help="Processes that decode.  [default: one per core]")
@click.option("--batch", type=int, default=8, show_default=True, help="Crops per run.")
@click.option(
    "--timeout",
    type=float,
    default=5.0,
    show_default=True,
    help="Seconds of processor time for an image.",
)
@click.option(
    "--no-verify", is_flag=True, help="Run a model that does not match its manifest; rows say so."
)
@options.model
@options.runtime()
@options.threads
def score(
    source: tuple[tuple[str, ...], InputOptions],
    crops: str | None,
    style: Any,
    out: Path | None,
    shard: int,
    html: Path | None,
    workers: int | None,
    batch: int,
    timeout: float,
    no_verify: bool,
    model: str,
    runtime: str | None,
    device: str | None,
    threads: int | None,
) -> None:
    """Score images and videos.

    INPUTS are files, folders, quoted patterns, tables (.csv, .parquet), archives (.tar and
    compressed ones, such as WebDataset's), addresses, or "-" for a list on standard input. A row
    holds the score, its standard deviation over the crops, and the path; rows keep the order of
    the inputs. What cannot be scored is a row with its error, and the exit status is 1.
    """
    from lifeiqa.bulk.inputs.expand import items
    from lifeiqa.bulk.job import Job, score_to_folder, score_to_stream
    from lifeiqa.bulk.outputs.progress import Progress
    from lifeiqa.bulk.shards import Plan
    from lifeiqa.preprocess.process_pool import cores
    from lifeiqa.scorer import Scorer

    names, where = source
    if out is not None and style == "table":
        raise ConfigError(
            "--format is table, which --out does not take: choose csv, jsonl or parquet"
        )
    if out is None and sys.stdout is None:
        raise ConfigError("standard output is closed: name --out, or redirect the output")
    if out is None and style == "parquet" and sys.stdout.isatty():
        raise ConfigError(
            "--format is parquet, which a terminal cannot show: name --out, or redirect the output"
        )
    if workers is None:
        workers = cores()
    plan = Plan(workers=workers, batch=batch, seconds=timeout, shard=shard)
    with (
        Scorer(
            model_file(model, ".fp32.onnx"),
            crops=crops,
            runtime=runtime,
            device=device,
            threads=threads,
            verify=not no_verify,
        ) as scorer,
        Progress(
            shown=out is not None or not sys.stdout.isatty(),
            total=None if "-" in names else lambda: sum(1 for _ in items(names, where)),
        ) as progress,
    ):
        if not scorer.manifest.verified:
            reason = "--no-verify" if no_verify else "there is no manifest beside it"
            click.echo(f"{model}: not verified: {reason}", err=True)
        job = Job(
            items=items(names, where),
            scorer=scorer,
            plan=plan,
            style=style or ("table" if out is None else "csv"),
            html=html,
            settings={"sampling": str(where.sampling)},
            progress=progress,
        )
        if out is None:
            shards = score_to_stream(job, sys.stdout.buffer)
        else:
            shards = score_to_folder(job, out)
    sys.exit(1 if any(shard.failures for shard in shards) else 0)
