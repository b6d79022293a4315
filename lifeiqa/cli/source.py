"""Where labelled images come from: TABLE.csv, or a published data set in its folder."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lifeiqa.cli.shared import File, Folder

if TYPE_CHECKING:
    from lifeiqa.data.table import Table

_OPTIONS = [
    click.argument("table", metavar="[TABLE.csv]", type=File, required=False),
    click.option("--images", type=Folder, help="Folder that the paths of TABLE are relative to."),
    click.option("--path-column", help="Column of image paths of TABLE."),
    click.option("--score-column", help="Column of human scores of TABLE."),
    click.option("--dataset", metavar="NAME", help="A published data set instead of TABLE."),
    click.option("--data", type=Folder, help="Folder of the data set."),
]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Labelled images as a command line names them; nothing is read until `read`.

    Raises:
        click.UsageError: they are named twice, by half or not at all, or an option of TABLE.csv
            stands beside a data set.
    """

    table: Path | None
    images: Path | None
    path_column: str | None
    score_column: str | None
    dataset: str | None
    data: Path | None

    def __post_init__(self) -> None:
        if (self.table is None) == (self.dataset is None):
            raise click.UsageError(
                "Name the labelled images once: TABLE.csv, or --dataset NAME --data DIR."
            )
        if (self.dataset is None) != (self.data is None):
            raise click.UsageError("--dataset NAME and --data DIR belong together.")
        self.refuse_with_dataset(
            {
                "--images": self.images,
                "--path-column": self.path_column,
                "--score-column": self.score_column,
            }
        )

    def refuse_with_dataset(self, options: Mapping[str, object]) -> None:
        """Refuse options of TABLE.csv, by their names, beside a data set; None is not given."""
        given = [name for name, value in options.items() if value is not None]
        if self.dataset is not None and given:
            verb = "belong" if len(given) > 1 else "belongs"
            raise click.UsageError(f"{', '.join(given)} {verb} to TABLE.csv, not to --dataset.")

    def read(self) -> Table:
        """The images and their scores."""
        from lifeiqa.data.datasets import read_dataset

        if self.dataset is not None and self.data is not None:
            return read_dataset(self.dataset, self.data)
        assert self.table is not None
        return self.read_alike(self.table)

    def read_alike(self, table: Path) -> Table:
        """Another table, with the columns and the folder of images of TABLE.csv."""
        from lifeiqa.data.table import read_table

        return read_table(
            table, self.images, path_column=self.path_column, score_column=self.score_column
        )


def source(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command TABLE.csv and its columns, --dataset and --data, as one `Source`."""

    @functools.wraps(command)
    def wrapped(
        table: Path | None,
        images: Path | None,
        path_column: str | None,
        score_column: str | None,
        dataset: str | None,
        data: Path | None,
        **others: Any,
    ) -> Any:
        named = Source(
            table=table,
            images=images,
            path_column=path_column,
            score_column=score_column,
            dataset=dataset,
            data=data,
        )
        return command(source=named, **others)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
