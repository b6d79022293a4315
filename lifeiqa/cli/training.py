"""`lifeiqa train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lifeiqa.commands import File, Folder, guarded
from lifeiqa.errors import require_all


@click.command()
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
