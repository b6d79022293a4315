"""What a copy of a data set holds, and whether its images can be read."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeiqa.config import Labels
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.errors import ImageError
from lifeiqa.preprocess.decode import decode, size_in_header

_EVERY = 500
"""Images between two lines of progress."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """A copy of a data set; true when every image can be read and every score is in range.

    Attributes:
        title: of the data set.
        folder: of the copy.
        images: number of images, complete.
        labels: declared range and direction.
        lowest: smallest score found, in label units.
        highest: largest score found.
        references: number of different references, 0 without any.
        distortions: kind of distortion -> number of images, empty without any.
        parts: part of the official split -> number of images, empty without one.
        decoded: whether images were decoded whole, or their headers read.
        unreadable: why, for each image that cannot be read.
    """

    title: str
    folder: str
    images: int
    labels: Labels
    lowest: float
    highest: float
    references: int
    distortions: dict[str, int]
    parts: dict[str, int]
    decoded: bool
    unreadable: tuple[str, ...]

    @property
    def in_range(self) -> bool:
        """Whether every score lies in the declared range."""
        return self.labels.low <= self.lowest and self.highest <= self.labels.high

    def __bool__(self) -> bool:
        return self.in_range and not self.unreadable

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"ok": bool(self), "in_range": self.in_range, **dataclasses.asdict(self)}

    def __str__(self) -> str:
        labels = self.labels
        outside = "" if self.in_range else ": OUTSIDE the range"
        lines = [
            f"{self.title} in {self.folder}: complete",
            f"images     {self.images:,}",
            f"scores       {labels.low:g} to {labels.high:g}, {labels.direction} is better; "
            f"found {self.lowest:g} to {self.highest:g}{outside}",
            f"references   {self.references or 'none'}",
            f"distortions  {_counts(self.distortions)}",
            f"split        {_counts(self.parts)}",
            f"{'decoded' if self.decoded else 'opened':12} "
            f"{self.images - len(self.unreadable):,} of {self.images:,}",
            *(f"  {error}" for error in self.unreadable),
        ]
        return "\n".join(lines)


def check(
    dataset: Dataset,
    folder: Path,
    *,
    whole: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Read a copy of a data set, and open each of its images.

    Args:
        dataset: which one.
        folder: of the copy.
        whole: decode the images whole; otherwise read their headers, which is fast and does not
            see a file that ends early.
        progress: takes a line of text now and then.

    Raises:
        DatasetError: the copy is incomplete or its labels cannot be read, see `Dataset.read`.
    """
    table = dataset.read(folder)
    unreadable = []
    for done, path in enumerate(table.paths, start=1):
        try:
            decode(path) if whole else size_in_header(path)
        except ImageError as error:
            unreadable.append(str(error))
        if done % _EVERY == 0 or done == len(table):
            progress(f"{'decoded' if whole else 'opened'} {done:,} of {len(table):,}")
    return Report(
        title=dataset.title,
        folder=str(folder),
        images=len(table),
        labels=dataset.labels,
        lowest=min(table.scores),
        highest=max(table.scores),
        references=len(set(table.references or ())),
        distortions=dict(Counter(table.distortions or ())),
        parts=dict(Counter(table.parts or ())),
        decoded=whole,
        unreadable=tuple(unreadable),
    )


def overview(datasets: Mapping[str, Dataset]) -> list[dict[str, Any]]:
    """What is expected of a copy of each data set, as JSON has it."""
    return [
        {
            "name": name,
            "title": dataset.title,
            "images": dataset.count,
            "labels": dataclasses.asdict(dataset.labels),
            "parts": dict(dataset.parts),
            "layout": dataset.layout,
        }
        for name, dataset in datasets.items()
    ]


def _counts(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items()) or "none"
