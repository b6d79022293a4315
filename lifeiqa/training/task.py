"""What is learned: images, their scores, and who chooses the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lifeiqa.config import Labels
from lifeiqa.data.splits import Split
from lifeiqa.data.table import Table
from lifeiqa.errors import DatasetError

Protocol = Literal["honest", "literature"]

PROTOCOLS: dict[Protocol, str] = {
    "honest": "honest: the validation images chose the checkpoint, the test is read once",
    "literature": "literature: the reported epoch is the best on the test images themselves",
}
"""What every report says of its protocol."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a run learns.

    Attributes:
        name: of the model.
        train: images to learn from.
        val: images that choose the checkpoint; the test's own in the literature's protocol.
        test: images that are read once, after the last epoch; None for none.
        labels: the range and direction of the scores.
        protocol: see `PROTOCOLS`.

    Raises:
        DatasetError: all scores of a table are the same, one lies outside the label range, or a
            image is learned that also chooses or tests.
    """

    name: str
    train: Table
    val: Table
    test: Table | None
    labels: Labels
    protocol: Protocol = "honest"

    def __post_init__(self) -> None:
        low, high = self.labels.low, self.labels.high
        learned = set(self.train.paths)
        for table in (self.train, self.val, self.test):
            if table is None:
                continue
            table.require_spread()
            if min(table.scores) < low or max(table.scores) > high:
                raise DatasetError(
                    f"{table.name}: scores run from {min(table.scores)} to {max(table.scores)}, "
                    f"outside the label range {low:g}..{high:g}. Give the range with --label-range"
                )
            both = [] if table is self.train else sorted(learned.intersection(table.paths))
            if both:
                raise DatasetError(
                    f"{table.name}: {len(both)} images are learned too, first {both[0]}; they "
                    f"cannot choose or test. Take them out of {self.train.name}"
                )

    def record(self) -> dict[str, Any]:
        """The tables of each part, for the manifest and for resuming on the same data."""
        parts = {"train": self.train, "val": self.val, "test": self.test}
        return {
            name: {"name": table.name, "images": len(table), "sha256": table.sha256}
            for name, table in parts.items()
            if table is not None
        }


def task_of_split(
    name: str, table: Table, split: Split, labels: Labels, protocol: Protocol
) -> Task:
    """The task of a split table.

    In the literature's protocol the test images choose the checkpoint, as they do in the
    published code; validation images of the split are then left out.

    Raises:
        DatasetError: the split has no validation images, and the protocol is the honest one.
    """
    train, val, test = split.tables(table)
    if protocol == "literature":
        val = test
    elif not len(val):
        raise DatasetError(
            f"{table.name}: the split has no validation images to choose the checkpoint on. "
            f"Split anew, or say --protocol literature"
        )
    return Task(name=name, train=train, val=val, test=test, labels=labels, protocol=protocol)
