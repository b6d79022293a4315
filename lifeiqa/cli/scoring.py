"""`lifeiqa score`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lifeiqa.cli import options
from lifeiqa.commands import guarded, model_file


@click.command()
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
@options.model
@options.provider
@options.threads
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
