"""`lifeiqa datasets`: the published data sets, and whether a copy of one is complete."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from lifeiqa.cli import options
from lifeiqa.cli.shared import Folder, guarded


@click.group()
def datasets() -> None:
    """List and check the data sets that are read in their published layouts."""


@datasets.command("list", epilog="Example: lifeiqa datasets list")
@options.as_json
@guarded
def list_(as_json: bool) -> None:
    """Print the data sets: name, images, range of the scores, official split and layout."""
    from lifeiqa.data.datasets import DATASETS
    from lifeiqa.data.datasets.completeness import overview

    rows = overview(DATASETS)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        labels = row["labels"]
        click.echo(
            f"{row['name']:8} {row['images']:6,} images, {labels['low']:g} to "
            f"{labels['high']:g}, {labels['direction']} is better"
            f"{', official split' if row['parts'] else ''}\n{'':8} {row['layout']}"
        )


@datasets.command(epilog="Example: lifeiqa datasets check koniq DIR")
@click.argument("name")
@click.argument("folder", metavar="DIR", type=Folder)
@click.option("--decode", is_flag=True, help="Decode every image, not only its header.")
@options.as_json
@guarded
def check(name: str, folder: Path, decode: bool, as_json: bool) -> None:
    """Check that DIR holds a complete copy of the data set NAME.

    Exit status 2 when a file is missing or cannot be read, 1 when an image cannot be opened or a
    score lies outside the declared range.
    """
    from lifeiqa.data.datasets import dataset_named
    from lifeiqa.data.datasets.completeness import check as run

    report = run(
        dataset_named(name),
        folder,
        whole=decode,
        progress=lambda line: click.echo(line, err=True),
    )
    click.echo(json.dumps(report.to_dict(), indent=2) if as_json else report)
    sys.exit(0 if report else 1)
