"""Splits of a table into training, validation and test, drawn from a seed and saved by name.

What is drawn is a unit: a picture, or a reference with every picture that was made from it, so
that no content is both learned and tested. Units are ordered by the sha256 of the seed, the
purpose and their name, and the first of them are taken. A split therefore depends on the seed and
the names alone: not on the order of the rows, nor on the platform, nor on the version of a random
generator. A smaller share taken for one purpose lies inside every larger one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from lifeiqa.data.table import Table
from lifeiqa.errors import ConfigError, DatasetError
from lifeiqa.files import atomic_write

Method = Literal["random", "reference", "official"]

_PARTS = ("train", "val", "test")
Rows: TypeAlias = Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which pictures of a table are learned, which choose the checkpoint, which are tested.

    Pictures are named below the innermost folder that holds all those of the table, so that a
    split fits every copy of its data set.

    Attributes:
        method: ``"random"`` by picture, ``"reference"`` by reference, or ``"official"``.
        seed: what it was drawn from.
        pictures: number of rows of the table.
        train: names of the pictures that are learned, in the table's order, as all three.
        val: those that choose the checkpoint; empty in the protocol of most of the literature.
        test: those that nothing is chosen on.
        share: share of the training units that `subset` kept.
    """

    method: Method
    seed: int
    pictures: int
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
        row_of = {name: row for row, name in enumerate(_names(table))}
        unknown = [name for name in self.train + self.val + self.test if name not in row_of]
        if unknown or self.pictures != len(table):
            raise DatasetError(
                f"{table.name}: the split is of {self.pictures:,} pictures, the table has "
                f"{len(table):,}; {len(unknown):,} pictures of the split are not in it"
                f"{f', first {unknown[0]}' if unknown else ''}. Split this table anew"
            )
        return {part: [row_of[name] for name in getattr(self, part)] for part in _PARTS}

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
            split = cls(**fields | {part: tuple(fields[part]) for part in _PARTS})
            listed = split.train + split.val + split.test
            distinct = len(set(listed))
            sound = (
                split.method in get_args(Method)
                and all(isinstance(name, str) for name in listed)
                and distinct == len(listed) <= split.pictures
                and (split.share < 1 or len(listed) == split.pictures)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"this is no split: {error!r}") from None
        if not sound:
            raise DatasetError(
                f"this is no split by {split.method!r} of {split.pictures} pictures: it lists "
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


def make_split(
    table: Table,
    *,
    method: Method | None = None,
    seed: int = 0,
    test: float = 0.2,
    val: float = 0.1,
) -> Split:
    """Split a table.

    Args:
        table: what is split.
        method: None takes the official split where the table has one, else by reference where it
            has references, else by picture.
        seed: of the draw, 0 or more.
        test: share of all units that is tested, in (0, 1); an official split has its own.
        val: share of the remaining units that chooses the checkpoint, in [0, 1); 0 for none. An
            official split that has validation rows keeps those; from one that has none, units are
            drawn from its training rows.

    Returns:
        The split; each part that is asked for has at least one unit.

    Raises:
        ConfigError: a share or the seed cannot be.
        DatasetError: the table has no references or no official split for the method, or too few
            units for the shares.
    """
    method = _method_for(table) if method is None else method
    if method not in get_args(Method):
        raise ConfigError(f"method is {method!r}: choose one of {', '.join(get_args(Method))}")
    if not 0 < test < 1 or not 0 <= val < 1:
        raise ConfigError(f"test is {test}, val is {val}: shares in (0, 1) and [0, 1) are expected")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed is {seed!r}: a whole number of 0 or more is expected")
    if method == "official":
        train, held, tested = _official(table)
    else:
        train, held = range(len(table)), ()
        tested = _drawn(table, train, method, test, f"{seed}/test")
        train = _without(train, tested)
    if val and not held:
        held = _drawn(table, train, method, val, f"{seed}/val")
        train = _without(train, held)
    names = _names(table)
    return Split(
        method=method,
        seed=seed,
        pictures=len(table),
        train=tuple(names[row] for row in train),
        val=tuple(names[row] for row in held),
        test=tuple(names[row] for row in tested),
    )


def unsplit(table: Table, *, seed: int = 0) -> Split:
    """All of a table to learn from, where other tables choose and test; `subset` takes a share."""
    names = tuple(_names(table))
    method: Method = "random" if table.references is None else "reference"
    return Split(method=method, seed=seed, pictures=len(table), train=names, val=(), test=())


def subset(split: Split, table: Table, share: float, seed: int | None = None) -> Split:
    """A split with a share of its training units, and all its validation and test pictures.

    With one seed, the 20 % lie inside the 40 %.

    Args:
        split: of the whole table.
        table: that was split.
        share: of the training units, in (0, 1].
        seed: of the draw; None takes the split's.

    Raises:
        ConfigError: the share cannot be.
        DatasetError: the table is another one.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"share is {share}: a share in (0, 1] is expected")
    if share == 1:
        return split
    train = split.rows(table)["train"]
    seed = split.seed if seed is None else seed
    kept = _drawn(table, train, split.method, share, f"{seed}/subset")
    names = _names(table)
    return dataclasses.replace(
        split, train=tuple(names[row] for row in kept), share=split.share * share
    )


def _method_for(table: Table) -> Method:
    if table.parts is not None:
        return "official"
    return "random" if table.references is None else "reference"


def _official(table: Table) -> tuple[Rows, Rows, Rows]:
    parts = table.parts or ()
    train, val, test = (
        [row for row, part in enumerate(parts) if part == wanted] for wanted in _PARTS
    )
    if not train or not test:
        raise DatasetError(
            f"{table.name}: {len(train)} training and {len(test)} test rows in its official split; "
            f"choose the method random or reference"
        )
    return train, val, test


def _drawn(table: Table, rows: Rows, method: Method, share: float, purpose: str) -> Rows:
    """The rows of a share of the units among these rows; at least one unit, and never all."""
    units = _units(table, rows, method)
    if len(units) < 2:
        raise DatasetError(
            f"{table.name}: {len(rows)} pictures of {len(units)} contents are left to draw "
            f"{purpose.partition('/')[2]} from; at least 2 contents are needed"
        )
    count = min(max(round(share * len(units)), 1), len(units) - 1)
    order = sorted(units, key=lambda name: _digest(f"{purpose}/{name}"))
    return sorted(row for name in order[:count] for row in units[name])


def _units(table: Table, rows: Rows, method: Method) -> dict[str, list[int]]:
    """The rows of each unit, by its name.

    What is drawn from the training part of an official split goes by reference too where there
    are references.
    """
    if method == "reference" and table.references is None:
        raise DatasetError(f"{table.name}: the table has no references; choose the method random")
    names: Sequence[str] = _names(table)
    if method != "random" and table.references is not None:
        names = table.references
    units: dict[str, list[int]] = {}
    for row in rows:
        units.setdefault(names[row], []).append(row)
    return units


def _names(table: Table) -> list[str]:
    """The pictures' paths below the innermost folder that holds them all: the same anywhere."""
    paths = [path.absolute() for path in table.paths]
    top = os.path.commonpath([path.parent for path in paths])
    return [path.relative_to(top).as_posix() for path in paths]


def _digest(text: str) -> bytes:
    # A file name that is not UTF-8 is one too.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _without(rows: Rows, taken: Rows) -> Rows:
    return sorted(set(rows) - set(taken))
