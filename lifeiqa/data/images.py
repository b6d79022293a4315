"""Images in folders, and the crops that parity is measured on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lifeiqa.config import Preprocessing
from lifeiqa.data import distortions
from lifeiqa.errors import DatasetError
from lifeiqa.preprocess.crops import crops_from_pixels, with_plan
from lifeiqa.preprocess.decode import SUFFIXES, Pixels, decode

PARITY_DISTORTIONS = (
    ("gaussian_blur", 0),  # the undistorted image
    ("gaussian_blur", 4),
    ("white_noise", 4),
    ("jpeg", 4),
    ("darken", 5),
    ("high_sharpen", 4),
)
"""Kind and strength of each form of an image that parity is measured on; undistorted first."""


def images_in(folder: Path, *, recursive: bool = True) -> list[Path]:
    """Every image in a folder, by its name's ending, in order of path.

    Raises:
        DatasetError: there is none.
    """
    paths = folder.glob("**/*" if recursive else "*")
    found = sorted(path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise DatasetError(f"{folder}: no image in this folder ({' '.join(sorted(SUFFIXES))})")
    return found


def parity_crops(
    images: Iterable[Path], preprocessing: Preprocessing, size: int, *, distort: bool
) -> Pixels:
    """The middle crop of each image, ``(n, S, S, 3)``; with ``distort``, of each distorted form.

    Distortions spread the scores, so that a rank correlation between two runtimes says something.
    """
    plan = with_plan(preprocessing, "center")
    chosen = PARITY_DISTORTIONS if distort else PARITY_DISTORTIONS[:1]
    crops = []
    for path in images:
        # Cut first, so that a large photograph costs no more than a small one.
        (crop,) = crops_from_pixels(decode(path), plan, size)
        crops += [distortions.distort(crop, kind, strength) for kind, strength in chosen]
    return np.stack(crops)
