"""The command `lifeiqa`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from lifeiqa.commands import File, Folder, guarded, model_file
from lifeiqa.errors import require_all
from lifeiqa.weights import DEFAULT

_model = click.option(
    "--model", default=DEFAULT, show_default=True, help="A model file or a bundled name."
)
_provider = click.option("--provider", type=click.Choice(["cpu", "cuda"]), help="Where to run.")
_threads = click.option("--threads", type=click.IntRange(1), help="CPU threads of a run.")
_json = click.option("--json", "as_json", is_flag=True, help="JSON, for machines.")


@click.group()
@click.version_option(package_name="lifeiqa")
def main() -> None:
    """Blind image quality with Life-IQA. Exit status 0, 1 (a check failed) or 2 (bad input)."""


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-r", "--recursive", is_flag=True, help="Look for pictures below folders too.")
@click.option("--crops", metavar="PLAN", help="center, five, grid:N or random:N:SEED.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["table", "csv", "jsonl"]),
    default="table",
    show_default=True,
    help="Form of the rows.",
)
@_model
@_provider
@_threads
@guarded
def score(
    paths: tuple[Path, ...],
    recursive: bool,
    crops: str | None,
    style: str,
    model: str,
    provider: str | None,
    threads: int | None,
) -> None:
    """Score pictures, and the pictures of folders.

    A row holds the score, its standard deviation over the crops, and the path. A picture that
    cannot be scored is a row with its error, and the exit status is 1.
    """
    from lifeiqa.rows import row_of, writer
    from lifeiqa.scorer import Scorer

    scorer = Scorer(
        model_file(model, ".fp32.onnx"), crops=crops, provider=provider, threads=threads
    )
    with scorer:
        pictures = _pictures(paths, recursive)
        write, failed = writer(style), False  # it prints a header: bad input comes before it
        for path in pictures:
            row = row_of(scorer, path)
            failed = failed or row.error is not None
            write(row)
    sys.exit(1 if failed else 0)


def _pictures(paths: tuple[Path, ...], recursive: bool) -> list[Path]:
    from lifeiqa.data.pictures import pictures_in

    found = []
    for path in paths:
        found += pictures_in(path, recursive=recursive) if path.is_dir() else [path]
    return found


@main.command()
@click.argument("file")
@_json
@guarded
def inspect(file: str, as_json: bool) -> None:
    """Print the manifest of FILE, a model file or a bundled name, after checking its sha256."""
    from lifeiqa.manifest import describe, read_manifest

    manifest = read_manifest(model_file(file, ".fp32.onnx"))
    click.echo(manifest.to_json(indent=2) if as_json else describe(manifest))


@main.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--images", type=Folder, required=True, help="Folder of pictures to measure on.")
@click.option("--as-run", is_flag=True, help="Run FP16 on a CPU as it comes, without rounding.")
@click.option(
    "--tolerance",
    "changed",
    metavar="LINK=DRIFT",
    multiple=True,
    help="fp32, fp16, or srocc=LOWEST.",
)
@_json
@guarded
def compare(
    first: str, second: str, images: Path, as_run: bool, changed: tuple[str, ...], as_json: bool
) -> None:
    """The parity report of two model files, from A to B. Exit status 1 outside the tolerance."""
    from lifeiqa.compare import compare_files
    from lifeiqa.data.pictures import parity_crops, pictures_in
    from lifeiqa.parity import tolerances_with

    files = model_file(first, ".fp32.onnx"), model_file(second, ".fp32.onnx")
    report = compare_files(
        *files,
        lambda preprocessing, size: parity_crops(
            pictures_in(images), preprocessing, size, distort=False
        ),
        tolerances=tolerances_with(changed),
        rounding=not as_run,
    )
    click.echo(json.dumps(report.to_dicts(), indent=2) if as_json else report)
    sys.exit(0 if report else 1)


@main.command()
@click.argument("model")
@click.argument("table", type=File)
@click.option("--images", type=Folder, help="Folder that the paths are relative to.")
@click.option("--path-column", help="Column of picture paths.")
@click.option("--score-column", help="Column of human scores.")
@click.option("--crops", metavar="PLAN", help="A crop plan in place of the model's own.")
@_provider
@_threads
@_json
@guarded
def evaluate(
    model: str,
    table: Path,
    images: Path | None,
    path_column: str | None,
    score_column: str | None,
    crops: str | None,
    provider: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score the pictures of a CSV and print the agreement with its human scores."""
    import dataclasses

    from lifeiqa.data.table import read_table
    from lifeiqa.scorer import Scorer
    from lifeiqa.training.evaluation import evaluate as run

    labelled = read_table(table, images, path_column=path_column, score_column=score_column)
    path = model_file(model, ".fp32.onnx")
    with Scorer(path, crops=crops, provider=provider, threads=threads) as scorer:
        figures = run(scorer, labelled)
    if as_json:
        click.echo(
            json.dumps({"model": path.name, "table": labelled.name, **dataclasses.asdict(figures)})
        )
    else:
        click.echo(
            f"{path.name} on {labelled.name}: n {figures.n}  SROCC {figures.srocc:.4f}  "
            f"PLCC {figures.plcc:.4f}  KRCC {figures.krcc:.4f}  RMSE {figures.rmse:.4f}"
        )


@main.command()
@click.argument("source", metavar="PATH.pth", type=File)
@click.option("-o", "--out", type=File, required=True, help="The .safetensors file to write.")
@click.option("--dataset", required=True, help="Data set that it was trained on.")
@click.option("--label-range", type=(float, float), required=True, help="Lowest and highest label.")
@click.option(
    "--direction",
    type=click.Choice(["higher", "lower"]),
    required=True,
    help="Whether a higher or a lower label is a better picture.",
)
@click.option(
    "--top-k", type=click.IntRange(1), default=2, show_default=True, help="Experts a token."
)
@click.option(
    "--heads", type=click.IntRange(1), default=6, show_default=True, help="Attention heads."
)
@guarded
def convert(
    source: Path,
    out: Path,
    dataset: str,
    label_range: tuple[float, float],
    direction: Any,
    top_k: int,
    heads: int,
) -> None:
    """Turn a checkpoint of the published code into one of lifeiqa.

    Its tensors give the network; what they cannot show is given by the options.
    """
    require_all("torch", "timm", "safetensors", extra="export", purpose="lifeiqa convert")
    from lifeiqa.config import Labels
    from lifeiqa.model.convert import convert as run

    low, high = label_range
    labels = Labels(dataset=dataset, low=low, high=high, direction=direction, normalised=False)
    manifest = run(source, out, labels, top_k=top_k, heads=heads)
    click.echo(f"wrote {out}: {manifest.config.backbone}, {manifest.config.experts} experts")


@main.command()
@click.argument("table", type=File)
@click.option("--val", type=File, required=True, help="CSV that chooses the checkpoint.")
@click.option("--images", type=Folder, help="Folder that the paths are relative to.")
@click.option("--path-column", help="Column of picture paths.")
@click.option("--score-column", help="Column of human scores.")
@click.option("--dataset", required=True, help="Name of the data set, for the record.")
@click.option("--label-range", type=(float, float), required=True, help="Lowest and highest label.")
@click.option(
    "--direction", type=click.Choice(["higher", "lower"]), default="higher", show_default=True
)
@click.option("-o", "--out", type=Folder, required=True, help="Folder of the run.")
@click.option("--name", default="model", show_default=True, help="Name of the model.")
@click.option("--weights", help="Backbone weights: hub, package or a file.")
@click.option(
    "--short-side", type=int, default=384, show_default=True, help="Working scale; 0: none."
)
@click.option("--crops", metavar="PLAN", default="five", show_default=True, help="Crop plan.")
@click.option(
    "--set", "changes", metavar="KEY=VALUE", multiple=True, help="Any ModelConfig or Recipe field."
)
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch of the run.")
@guarded
def train(
    table: Path,
    val: Path,
    images: Path | None,
    path_column: str | None,
    score_column: str | None,
    dataset: str,
    label_range: tuple[float, float],
    direction: Any,
    out: Path,
    name: str,
    weights: str | None,
    short_side: int,
    crops: str,
    changes: tuple[str, ...],
    resume: bool,
) -> None:
    """Train on TABLE, a CSV of picture paths and human scores."""
    require_all("torch", "timm", "safetensors", "scipy", extra="train", purpose="lifeiqa train")
    from lifeiqa.config import Labels
    from lifeiqa.data.table import read_table
    from lifeiqa.training import settings
    from lifeiqa.training.loop import train as run
    from lifeiqa.training.phases import Task

    config, recipe = settings.from_changes(changes)
    low, high = label_range
    learned, held = (
        read_table(path, images, path_column=path_column, score_column=score_column)
        for path in (table, val)
    )
    task = Task(
        name,
        learned,
        held,
        Labels(dataset=dataset, low=low, high=high, direction=direction),
        short_side or None,
        crops,
    )
    manifest = run(
        config,
        task,
        recipe,
        out,
        weights=weights,
        resume=resume,
        report=lambda line: click.echo(line, err=True),
    )
    chosen = manifest.training["chosen"]
    click.echo(
        f"{out / name}.safetensors: val SROCC {chosen['val_srocc']:.4f}, "
        f"PLCC {chosen['val_plcc']:.4f}"
    )
