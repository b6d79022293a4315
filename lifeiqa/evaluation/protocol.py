"""Which images a figure is measured on, and whether the model was trained on them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.data.splits import Split
from lifeiqa.data.table import Table
from lifeiqa.errors import DatasetError

Part: TypeAlias = Literal["train", "val", "test", "all"]

EVERY = "every image of the table"


def take_part(table: Table, part: Part, split: Split | None = None) -> tuple[Table, str]:
    """One part of a table, and its description for a report.

    Args:
        table: the whole table.
        part: which part; ``"all"`` is the whole table.
        split: a saved split; None takes the official split of the table.

    Raises:
        DatasetError: the table has no official split, or the part is empty.
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
            f"{table.name}: has no {part} part, because it has no official split. "
            f"Name a saved split with --split, or use --part all"
        )
    if not len(chosen):
        raise DatasetError(f"{table.name}: the {part} part of {origin} is empty")
    return chosen, f"the {part} part of {origin}, {len(chosen)} of {len(table)} images"


def protocol(manifest: Manifest, table: Table, part: str) -> str:
    """A description of the images, and whether the model's training record contains them.

    The record has the names of its tables and their numbers of images, and only these can be
    compared.

    Args:
        manifest: of the model.
        table: the images of the evaluation.
        part: their description, see `take_part`.
    """
    trained = manifest.training.get("protocol")
    own = f"; it was trained by the protocol {trained!r}" if trained else ""
    return f"{part}; {_known(manifest, table)}{own}"


def _known(manifest: Manifest, table: Table) -> str:
    record, learned = manifest.training, manifest.labels.dataset
    if _is(record.get("val"), table):
        return (
            f"according to its training record, the checkpoint was chosen on {table.name} "
            f"({len(table)} images): expect lower figures on other images"
        )
    if _is(record.get("train"), table):
        return (
            f"according to its training record, the model was trained on {table.name} "
            f"({len(table)} images): the figures say nothing about other images"
        )
    if table.labels is not None and table.labels.dataset.lower() != learned.lower():
        return f"across data sets: the model was trained on {learned}"
    sides = [
        f"{what} {side['name']} ({side['images']} images)"
        for what, side in (
            ("was trained on", record.get("train")),
            ("chosen on", record.get("val")),
        )
        if isinstance(side, dict) and side.keys() >= {"name", "images"}
    ]
    if not sides:
        return f"the model was trained on {learned}; its record does not say on which images"
    return (
        f"the model {' and '.join(sides)} of {learned}; whether these images are among them is not "
        f"known"
    )


def _is(side: Any, table: Table) -> bool:
    """Whether a side of a training record is this table.

    Compared by fingerprint. Older records have only the name and the number of images.
    """
    if not isinstance(side, dict):
        return False
    if "sha256" in side:
        return bool(side["sha256"] == table.sha256)
    return (side.get("name"), side.get("images")) == (table.name, len(table))
