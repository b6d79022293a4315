"""A data set as published: how many images, what their scores mean, how a copy is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lifeiqa.config import Labels
from lifeiqa.data.datasets.layout import Listing, find_images
from lifeiqa.data.table import Table, refuse_repeats
from lifeiqa.errors import DatasetError


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A published data set.

    Attributes:
        title: its full name.
        count: images with a score in a complete copy.
        labels: range and direction of its scores.
        layout: the files that a copy is made of, in a line.
        listing: reads the label files of a copy, and looks for no image.
        parts: images in each part of the official split, where there is one.
    """

    title: str
    count: int
    labels: Labels
    layout: str
    listing: Callable[[Path], Listing]
    parts: Mapping[str, int] = field(default_factory=dict)

    def read(self, folder: Path) -> Table:
        """Read a copy, and check that it is complete; no image is opened.

        Args:
            folder: the one that holds the files of `layout`.

        Returns:
            A row for each image, in the order of the label files.

        Raises:
            DatasetError: a file is missing, cannot be read or has the wrong number of rows, or a
                image is missing or listed twice.
            MissingDependencyError: the labels are a workbook or a MATLAB file, and the package
                that reads it is not installed.
        """
        if not folder.is_dir():
            raise DatasetError(f"{self.title}: {folder} is not a folder")
        try:
            listing = self.listing(folder)
            self._require_count(listing)
            paths = find_images(listing.images, listing.names)
            refuse_repeats(listing.source, paths)
        except DatasetError as error:
            raise DatasetError(f"{self.title}: {error}") from error
        except OSError as error:
            raise DatasetError(f"{self.title}: {error.filename}: {error.strerror}") from error
        return Table(
            name=self.labels.dataset,
            paths=paths,
            scores=tuple(listing.scores),
            labels=self.labels,
            references=None if listing.references is None else tuple(listing.references),
            distortions=None if listing.distortions is None else tuple(listing.distortions),
            parts=None if listing.parts is None else tuple(listing.parts),
        )

    def _require_count(self, listing: Listing) -> None:
        if len(listing.names) != self.count:
            raise DatasetError(
                f"{listing.source}: {len(listing.names):,} images, {self.count:,} are expected. "
                f"Copy the published file again"
            )
        if listing.parts is not None:
            found = Counter(listing.parts)
            for part, expected in self.parts.items():
                if found[part] != expected:
                    raise DatasetError(
                        f"{listing.source}: {found[part]:,} images in the {part} part, "
                        f"{expected:,} are expected. Copy the published file again"
                    )
