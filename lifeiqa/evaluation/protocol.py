"""Which images a figure is measured on, and what the model knew of them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.data.splits import Split
from lifeiqa.data.table import Table
from lifeiqa.errors import DatasetError

Part: TypeAlias = Literal["train", "val", "test", "all"]

EVERY = "every image of the table"


def take_part(table: Table, part: Part, split: Split | None = None) -> tuple[Table, str]:
    """One part of a table, and the words for it in a report.

    Args:
        table: the whole of it.
        part: which part; ``"all"`` is the table as it is.
        split: a saved split; None takes the official one of the table.

    Raises:
        DatasetError: there is no such split, or the part is empty.
    """
    if part == "all":
        return table, EVERY
    if split is not None:
        chosen = dict(zip(("train", "val", "test"), split.tables(table), strict=True))[part]
        origin = f"the {split.method} split of seed {split.seed}"
    elif table.parts is not None:
        rows = [row for row, own in enumerate(table.parts) if own == part]
        chosen = table.take(rows, f"{table.name} {part}")
        origin = "the official split"
    else:
        raise DatasetError(
            f"{table.name}: there is no {part} part, as it has no official split. "
            f"Give a saved one with --split, or take --part all"
        )
    if not len(chosen):
        raise DatasetError(f"{table.name}: the {part} part of {origin} is empty")
    return chosen, f"the {part} part of {origin}, {len(chosen)} of {len(table)} images"


def protocol(manifest: Manifest, table: Table, part: str) -> str:
    """What was measured on, and whether the model's training record knows these images.

    The record names its tables and counts their images, which is all that can be compared.

    Args:
        manifest: of the model.
        table: the images that are measured on.
        part: which they are, see `take_part`.
    """
    trained = manifest.training.get("protocol")
    own = f"; it was trained by the protocol {trained!r}" if trained else ""
    return f"{part}; {_known(manifest, table)}{own}"


def _known(manifest: Manifest, table: Table) -> str:
    record, learned = manifest.training, manifest.labels.dataset
    if _is(record.get("val"), table):
        return (
            f"its training record says that {table.name} ({len(table)} images) chose the "
            f"checkpoint: expect less on others"
        )
    if _is(record.get("train"), table):
        return (
            f"its training record says that the model learned these images ({table.name}, "
            f"{len(table)}): the figures tell nothing about others"
        )
    if table.labels is not None and table.labels.dataset.lower() != learned.lower():
        return f"across data sets: the model learned {learned}"
    sides = [
        f"{what} {side['name']} ({side['images']} images)"
        for what, side in (("learned", record.get("train")), ("was chosen on", record.get("val")))
        if isinstance(side, dict) and side.keys() >= {"name", "images"}
    ]
    if not sides:
        return f"the model learned {learned}, its record does not say which images"
    return f"the model {' and '.join(sides)} of {learned}; whether any of them is here is not known"


def _is(side: Any, table: Table) -> bool:
    """Whether a side of a training record is this table.

    By its fingerprint; an older record has only its name and number of images.
    """
    if not isinstance(side, dict):
        return False
    if "sha256" in side:
        return bool(side["sha256"] == table.sha256)
    return (side.get("name"), side.get("images")) == (table.name, len(table))
