"""A split of a table into training, validation and test, saved by the names of its images."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from lifeiqa.data.table import Table
from lifeiqa.errors import DatasetError
from lifeiqa.files import atomic_write

Method = Literal["random", "reference", "official"]

PARTS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which images of a table are learned, which choose the checkpoint, which are tested.

    Images are named below the innermost folder that holds all those of the table, so that a
    split fits every copy of its data set.

    Attributes:
        method: ``"random"`` by image, ``"reference"`` by reference, or ``"official"``.
        seed: what it was drawn from.
        images: number of rows of the table.
        train: names of the images that are learned, in the table's order, as all three.
        val: those that choose the checkpoint; empty in the protocol of most of the literature.
        test: those that nothing is chosen on.
        share: share of the training units that `subset` kept.
    """

    method: Method
    seed: int
    images: int
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    share: float = 1.0

    def tables(self, table: Table) -> tuple[Table, Table, Table]:
        """The training, validation and test rows of a table.

        Raises:
            DatasetError: it is not the table that was split.
        """
        train, val, test = (
            table.take(rows, f"{table.name} {part}") for part, rows in self.rows(table).items()
        )
        return train, val, test

    def rows(self, table: Table) -> dict[str, list[int]]:
        """The indices of the rows of each part: ``"train"``, ``"val"`` and ``"test"``.

        Raises:
            DatasetError: it is not the table that was split.
        """
        row_of = {name: row for row, name in enumerate(names_in(table))}
        unknown = [name for name in self.train + self.val + self.test if name not in row_of]
        if unknown or self.images != len(table):
            raise DatasetError(
                f"{table.name}: the split is of {self.images:,} images, the table has "
                f"{len(table):,}; {len(unknown):,} images of the split are not in it"
                f"{f', first {unknown[0]}' if unknown else ''}. Split this table anew"
            )
        return {part: [row_of[name] for name in getattr(self, part)] for part in PARTS}

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Split:
        """The inverse of `to_dict`, also after a way through JSON.

        Raises:
            DatasetError: it is no split.
        """
        try:
            fields = dict(values)
            split = cls(**fields | {part: tuple(fields[part]) for part in PARTS})
            listed = split.train + split.val + split.test
            distinct = len(set(listed))
            sound = (
                split.method in get_args(Method)
                and all(isinstance(name, str) for name in listed)
                and distinct == len(listed) <= split.images
                and (split.share < 1 or len(listed) == split.images)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"this is no split: {error!r}") from None
        if not sound:
            raise DatasetError(
                f"this is no split by {split.method!r} of {split.images} images: it lists "
                f"{distinct:,} of them in {len(listed):,} places"
            )
        return split


def write_split(path: Path, split: Split) -> None:
    """Write a split as JSON, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(split.to_dict(), indent=1) + "\n", "utf-8")


def read_split(path: Path) -> Split:
    """The inverse of `write_split`.

    Raises:
        DatasetError: it cannot be read, or holds no split.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: the split cannot be read: {error}") from error
    try:
        return Split.from_dict(values)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from error


def names_in(table: Table) -> list[str]:
    """The images' paths below the innermost folder that holds them all: the same anywhere."""
    paths = [path.absolute() for path in table.paths]
    top = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(top).as_posix() for path in paths]
