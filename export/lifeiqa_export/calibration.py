"""The crops that the ranges of an INT8 graph are taken from: real, and chosen without chance."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lifeiqa.config import Preprocessing
from lifeiqa.data.images import images_in
from lifeiqa.errors import DatasetError
from lifeiqa.preprocess.crops import crops_from_pixels
from lifeiqa.preprocess.decode import Pixels, decode

MIN_IMAGES = 16
"""Fewer say little about the ranges of other images."""
MAX_IMAGES = 128
MAX_CROPS = 256
"""Of all images together: a plan of 25 crops would otherwise cost 25 times as much."""


@dataclass(frozen=True)
class Calibration:
    """Crops to calibrate on, and what a manifest says about them.

    Attributes:
        crops: uint8 ``(n, S, S, 3)``.
        names: of the images, relative to their folder.
    """

    crops: Pixels
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, int | str]:
        """Counts and sums: of the names, and of the samples themselves."""
        return {
            "images": len(self.names),
            "names_sha256": hashlib.sha256(json.dumps(self.names).encode()).hexdigest(),
            "crops": len(self.crops),
            "crops_sha256": hashlib.sha256(self.crops.tobytes()).hexdigest(),
        }


def calibration_from_folder(folder: Path, preprocessing: Preprocessing, size: int) -> Calibration:
    """Crops of a folder's images, cut as the model's own plan cuts them.

    Of more than `MAX_IMAGES` images, as many are taken at even steps through their sorted
    paths; where the plan gives more than `MAX_CROPS` in all, each image gives as many of its
    crops at even steps.

    Raises:
        DatasetError: there are fewer than `MIN_IMAGES`.
        ImageError: an image cannot be decoded or cropped.
    """
    found = images_in(folder)
    if len(found) < MIN_IMAGES:
        raise DatasetError(
            f"{folder}: {len(found)} images to calibrate on, at least {MIN_IMAGES} are needed. "
            f"Give images like those to be scored, some hundred if there are"
        )
    chosen = [found[index] for index in even_steps(len(found), MAX_IMAGES)]
    crops = []
    for path in chosen:
        cut = crops_from_pixels(decode(path), preprocessing, size)
        crops.append(cut[even_steps(len(cut), max(1, MAX_CROPS // len(chosen)))])
    names = tuple(path.relative_to(folder).as_posix() for path in chosen)
    return Calibration(np.concatenate(crops), names)


def even_steps(count: int, most: int) -> list[int]:
    """At most ``most`` indices below ``count``, evenly spaced from 0."""
    taken = min(count, most)
    return [index * count // taken for index in range(taken)]
