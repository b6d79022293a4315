"""`lifeiqa evaluate`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lifeiqa.cli import options
from lifeiqa.commands import File, Folder, guarded, model_file
from lifeiqa.errors import require_all

if TYPE_CHECKING:
    from lifeiqa.data.table import Table


@click.command()
@click.argument("model")
@click.argument("table", metavar="[TABLE.csv]", type=File, required=False)
@click.option("--images", type=Folder, help="Folder that the paths of TABLE are relative to.")
@click.option("--path-column", help="Column of picture paths of TABLE.")
@click.option("--score-column", help="Column of human scores of TABLE.")
@click.option("--dataset", metavar="NAME", help="A published data set in place of TABLE.")
@click.option("--data", type=Folder, help="Folder of the data set.")
@click.option("--split", type=File, help="A saved split; otherwise the official one.")
@click.option(
    "--part",
    type=click.Choice(["train", "val", "test", "all"]),
    help="Part of the split. Default: test with --split, all without.",
)
@click.option("--crops", metavar="PLAN", help="A crop plan in place of the model's own.")
@click.option(
    "--bootstrap",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="Resamples behind the 95 % intervals; 0: no intervals.",
)
@click.option("--figures", type=Folder, help="Folder for scatter.png and distortions.png.")
@click.option("--predictions", type=File, help="CSV of the score of each picture.")
@click.option("-o", "--out", type=File, help="JSON file of the report.")
@options.provider
@options.threads
@options.as_json
@guarded
def evaluate(
    model: str,
    table: Path | None,
    images: Path | None,
    path_column: str | None,
    score_column: str | None,
    dataset: str | None,
    data: Path | None,
    split: Path | None,
    part: Any,
    crops: str | None,
    bootstrap: int,
    figures: Path | None,
    predictions: Path | None,
    out: Path | None,
    provider: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score labelled pictures and print the agreement with their human scores.

    MODEL is a checkpoint, an ONNX file, an engine or a bundled name. The pictures are those of
    TABLE.csv, any CSV of paths and scores, or of --dataset NAME --data DIR. With the name of
    another data set than the model learned, the figures are those across data sets.
    """
    columns = {"images": images, "path_column": path_column, "score_column": score_column}
    _check_source(table, columns, dataset, data)
    # A missing package is told now, not after the last picture.
    needed = ["scipy", *(["matplotlib"] if figures else [])]
    require_all(*needed, extra="evaluation", purpose="lifeiqa evaluate")
    from lifeiqa.data.splits import read_split
    from lifeiqa.evaluation.evaluate import evaluate as run
    from lifeiqa.evaluation.figures import write_figures
    from lifeiqa.evaluation.protocol import take_part
    from lifeiqa.evaluation.report import write_predictions
    from lifeiqa.files import atomic_write
    from lifeiqa.scorer import Scorer

    path = model_file(model, ".fp32.onnx")
    whole = _read(table, columns, dataset, data)
    saved = read_split(split) if split else None
    labelled, pictures = take_part(whole, part or ("test" if saved else "all"), saved)
    with (
        Scorer(path, crops=crops, provider=provider, threads=threads) as scorer,
        click.progressbar(length=len(labelled), label="scoring", file=sys.stderr) as bar,
    ):
        report = run(
            scorer,
            labelled,
            part=pictures,
            resamples=bootstrap,
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


def _check_source(
    table: Path | None, columns: dict[str, Any], dataset: str | None, data: Path | None
) -> None:
    if (table is None) == (dataset is None):
        raise click.UsageError(
            "Give the labelled pictures once: TABLE.csv, or --dataset NAME --data DIR."
        )
    if (dataset is None) != (data is None):
        raise click.UsageError("--dataset NAME and --data DIR belong together.")
    if dataset is not None and any(value is not None for value in columns.values()):
        raise click.UsageError("--images and the column options belong to TABLE.csv.")


def _read(
    table: Path | None, columns: dict[str, Any], dataset: str | None, data: Path | None
) -> Table:
    from lifeiqa.data.datasets import read_dataset
    from lifeiqa.data.table import read_table

    if table is not None:
        return read_table(table, **columns)
    assert dataset is not None
    assert data is not None
    return read_dataset(dataset, data)
