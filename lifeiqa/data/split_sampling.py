"""Splits drawn from a seed: of a share, of one fold after another, of an official part.

What is drawn is a unit: an image, or a reference with every image that was made from it, so
that no content is both learned and tested. Units are ordered by the sha256 of the seed, the
purpose and their name, and the first of them are taken. A split therefore depends on the seed and
the names alone: not on the order of the rows, nor on the platform, nor on the version of a random
generator. A smaller share taken for one purpose lies inside every larger one.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import TypeAlias, get_args

from lifeiqa.data.splits import PARTS, Method, Split, names_in
from lifeiqa.data.table import Table
from lifeiqa.errors import ConfigError, DatasetError

Rows: TypeAlias = Sequence[int]


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
            has references, else by image.
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
    return _split(table, method, seed, train, held, tested)


def folds(table: Table, count: int, *, seed: int = 0, val: float = 0.1) -> list[Split]:
    """As many splits, which together test every image once.

    Args:
        table: what is split; by reference where it has references, else by image.
        count: number of folds, 2 or more.
        seed: of the draw.
        val: share of the units outside a fold that chooses the checkpoint, in (0, 1).

    Raises:
        ConfigError: there is no such number of folds.
        DatasetError: there are fewer units than folds, or too few to choose on.
    """
    if count < 2:
        raise ConfigError(f"folds is {count}: 2 or more are expected")
    method: Method = "random" if table.references is None else "reference"
    whole = range(len(table))
    units = _units(table, whole, method)
    if len(units) < count:
        raise DatasetError(f"{table.name}: {len(units)} contents cannot make {count} folds")
    order = sorted(units, key=lambda name: _digest(f"{seed}/fold/{name}"))
    made = []
    for fold in range(count):
        tested = sorted(row for name in order[fold::count] for row in units[name])
        rest = _without(whole, tested)
        held = _drawn(table, rest, method, val, f"{seed}/val")
        made.append(_split(table, method, seed, _without(rest, held), held, tested))
    return made


def unsplit(table: Table, *, seed: int = 0) -> Split:
    """All of a table to learn from, where other tables choose and test; `subset` takes a share."""
    method: Method = "random" if table.references is None else "reference"
    return _split(table, method, seed, range(len(table)), (), ())


def subset(split: Split, table: Table, share: float, seed: int | None = None) -> Split:
    """A split with a share of its training units, and all its validation and test images.

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
    names = names_in(table)
    return dataclasses.replace(
        split, train=tuple(names[row] for row in kept), share=split.share * share
    )


def _split(table: Table, method: Method, seed: int, train: Rows, val: Rows, test: Rows) -> Split:
    names = names_in(table)
    learned, held, tested = (tuple(names[row] for row in rows) for rows in (train, val, test))
    return Split(method=method, seed=seed, images=len(table), train=learned, val=held, test=tested)


def _method_for(table: Table) -> Method:
    if table.parts is not None:
        return "official"
    return "random" if table.references is None else "reference"


def _official(table: Table) -> tuple[Rows, Rows, Rows]:
    parts = table.parts or ()
    train, val, test = (
        [row for row, part in enumerate(parts) if part == wanted] for wanted in PARTS
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
            f"{table.name}: {len(rows)} images of {len(units)} contents are left to draw "
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
    names: Sequence[str] = names_in(table)
    if method != "random" and table.references is not None:
        names = table.references
    units: dict[str, list[int]] = {}
    for row in rows:
        units.setdefault(names[row], []).append(row)
    return units


def _digest(text: str) -> bytes:
    # A file name that is not UTF-8 is one too.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _without(rows: Rows, taken: Rows) -> Rows:
    return sorted(set(rows) - set(taken))
