"""`lifeiqa evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lifeiqa.cli import options
from lifeiqa.commands import File, Folder, guarded, model_file


@click.command()
@click.argument("model")
@click.argument("table", type=File)
@click.option("--images", type=Folder, help="Folder that the paths are relative to.")
@click.option("--path-column", help="Column of picture paths.")
@click.option("--score-column", help="Column of human scores.")
@click.option("--crops", metavar="PLAN", help="A crop plan in place of the model's own.")
@options.provider
@options.threads
@options.as_json
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
