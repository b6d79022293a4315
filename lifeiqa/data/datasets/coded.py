"""Names such as ``I01_07_3.bmp``: image 1, distortion 7, level 3, as TID2013 and KADID have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lifeiqa.data.datasets.layout import Listing, Rows, column, find, scores
from lifeiqa.errors import DatasetError

_NAME = re.compile(r"(I\d+)_(\d+)_(\d+)\.\w+", re.IGNORECASE)


def listing(
    labels: Path, rows: Rows, *, images: str, name: str, score: str, distortions: Sequence[str]
) -> Listing:
    """What the labels list, with the reference and the distortion that each image's name tells.

    Args:
        labels: the file of labels; the folder ``images`` stands beside it.
        rows: as read from ``labels``.
        images: name of the folder of images.
        name: column of image names.
        score: column of scores.
        distortions: kinds of distortion, from number 1 on.

    Raises:
        DatasetError: the folder is missing, a score is no number, or a name has another form or
            an unknown distortion.
    """
    names = column(rows, name)
    references, kinds = _origins(rows, names, distortions)
    return Listing(
        source=str(labels),
        images=find(labels.parent, images),
        names=names,
        scores=scores(rows, score),
        references=references,
        distortions=kinds,
    )


def _origins(
    rows: Rows, names: Sequence[str], distortions: Sequence[str]
) -> tuple[list[str], list[str]]:
    """References, such as ``I01``, and kinds of distortion."""
    references, kinds = [], []
    for (where, _), name in zip(rows, names, strict=True):
        match = _NAME.fullmatch(name)
        if match is None or not 1 <= int(match[2]) <= len(distortions):
            raise DatasetError(
                f"{where}: {name!r}: a name such as I01_01_1, image, distortion 1 to "
                f"{len(distortions)} and level, is expected"
            )
        references.append(match[1].upper())
        kinds.append(distortions[int(match[2]) - 1])
    return references, kinds
