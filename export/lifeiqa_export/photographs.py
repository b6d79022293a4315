"""Photographs that a package carries, so that parity needs no download and no data set."""

from __future__ import annotations

from pathlib import Path

from lifeiqa.errors import require

NAMES = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
"""Files inside scikit-image; the rest of its collection is diagrams and downloads."""


def photographs() -> list[Path]:
    """Paths of `NAMES`.

    Raises:
        MissingDependencyError: scikit-image is not installed.
    """
    package = require("skimage", extra="export", purpose="parity on default photographs")
    folder = Path(str(package.__file__)).parent / "data"
    return [folder / name for name in NAMES]
