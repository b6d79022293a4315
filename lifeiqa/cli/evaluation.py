"""`lifeiqa evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from lifeiqa.cli import options
from lifeiqa.cli.shared import File, Folder, guarded
from lifeiqa.cli.source import Source, source
from lifeiqa.errors import require_all
from lifeiqa.weights import model_file


@click.command(epilog="Example: lifeiqa evaluate fast labels.csv --images photos")
@click.argument("model")
@source
@click.option("--split", type=File, help="A saved split.  [default: the official one]")
@click.option(
    "--part",
    type=click.Choice(["train", "val", "test", "all"]),
    help="Part of the split.  [default: test with --split, else all]",
)
@click.option("--crops", metavar="PLAN", help="Crop plan.  [default: the model's]")
@click.option(
    "--bootstrap",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="Resamples for the 95 % intervals; 0 for no intervals.",
)
@click.option("--figures", type=Folder, help="Folder for scatter.png and distortions.png.")
@click.option("--predictions", type=File, help="CSV of the score of each image.")
@click.option("-o", "--out", type=File, help="JSON file of the report.")
@click.option(
    "--batch",
    type=click.IntRange(1),
    metavar="N",
    help="Crops in one run, across images. Default: each image by itself.",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Processes that decode. 0 decodes in this process.",
)
@options.runtime()
@options.threads
@options.as_json
@guarded
def evaluate(
    model: str,
    source: Source,
    split: Path | None,
    part: Any,
    crops: str | None,
    bootstrap: int,
    figures: Path | None,
    predictions: Path | None,
    out: Path | None,
    batch: int | None,
    workers: int,
    runtime: str | None,
    device: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score labelled images and print the agreement with their human scores.

    MODEL is a checkpoint, an ONNX file, an engine or a bundled name. The images are those of
    TABLE.csv, any CSV of paths and scores, or of --dataset NAME --data DIR. With another data set
    than the one the model was trained on, the figures are those across data sets.
    """
    # Report a missing package now, not after the last image.
    needed = ["scipy", *(["matplotlib"] if figures else [])]
    require_all(*needed, extra="evaluation", purpose="lifeiqa evaluate")
    from lifeiqa.data.splits import read_split
    from lifeiqa.evaluation.evaluate import evaluate as run
    from lifeiqa.evaluation.figures import write_figures
    from lifeiqa.evaluation.protocol import take_part
    from lifeiqa.evaluation.result import write_predictions
    from lifeiqa.files import atomic_write
    from lifeiqa.scorer import Scorer

    path = model_file(model, ".fp32.onnx")
    whole = source.read()
    saved = read_split(split) if split else None
    labelled, images = take_part(whole, part or ("test" if saved else "all"), saved)
    with (
        Scorer(path, crops=crops, runtime=runtime, device=device, threads=threads) as scorer,
        click.progressbar(length=len(labelled), label="scoring", file=sys.stderr) as bar,
    ):
        report = run(
            scorer,
            labelled,
            part=images,
            resamples=bootstrap,
            batch=batch,
            workers=workers,
            progress=lambda done: bar.update(1),
        )
    text = json.dumps(report.to_dict(), indent=2)
    if out:
        with atomic_write(out) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    if predictions:
        write_predictions(report, predictions)
    for written in write_figures(report, figures) if figures else ():
        click.echo(f"wrote {written}", err=True)
    click.echo(text if as_json else report)
