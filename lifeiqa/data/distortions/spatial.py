"""Pixels and blocks out of their place."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image

from lifeiqa.data.distortions.kinds import LEVELS, Parameter
from lifeiqa.data.distortions.values import Values, pixels_from_values, values_from_pixels, warped
from lifeiqa.preprocess.decode import Pixels

DISPLACEMENT = Parameter(0, (0.175, 0.35, 0.7, 1.75, 3.5))
"""How far a pixel moves at most along each axis in one pass, pixels."""
PASSES = 5
"""Passes of jitter."""
PATCHES = Parameter(0, (20, 40, 60, 80, 100), geometric=False)
"""Patches on 512x384 pixels."""
PATCH_SIDE, PATCH_REACH = 16, 16
"""Side of a patch, and how far away it is copied from at most along each axis, pixels."""
REDUCTION = Parameter(1, tuple(0.95 - s**0.6 for s in (0.01, 0.05, 0.1, 0.2, 0.5)))
"""What the sides are multiplied by."""
BLOCKS = Parameter(0, (2, 4, 6, 8, 10), geometric=False)
"""Blocks on 512x384 pixels."""
BLOCK_SIDE = 32
"""Side of a block, pixels."""
TABLED_AREA = 512 * 384
"""Pixels of an image of the table: numbers of patches and blocks are proportional to the area."""


def jitter(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Every pixel taken from a place nearby that is drawn, five times over."""
    reach = DISPLACEMENT.at(strength)
    values = values_from_pixels(pixels)
    for _ in range(PASSES):
        field = random.integers(2**16, size=(2, *pixels.shape[:2]), dtype=np.uint16)
        # In the middle of 65536 steps of -reach to reach.
        rows, columns = field * np.float32(reach / 2**15) + np.float32(reach * (2**-16 - 1))
        values = warped(values, rows, columns)
    return pixels_from_values(values)


def non_eccentricity_patch(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Square patches replaced by others from nearby."""
    patched = pixels.copy()
    for place, side, draws in _squares(pixels, PATCHES, strength, PATCH_SIDE, random):
        limits = np.array(pixels.shape[:2]) - side
        away = np.rint((2 * draws[:2] - 1) * PATCH_REACH).astype(int)
        row, column = np.clip(np.add(place, away), 0, limits)
        patched[_square(place, side)] = pixels[_square((row, column), side)]
    return patched


def pixelate(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Reduced and enlarged again, both by the nearest pixel."""
    image, factor = Image.fromarray(pixels), REDUCTION.at(strength)
    small = [max(1, round(factor * side)) for side in image.size]
    reduced = image.resize((small[0], small[1]), Image.Resampling.NEAREST)
    return np.asarray(reduced.resize(image.size, Image.Resampling.NEAREST))


def color_block(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Square blocks of a color that is drawn."""
    blocked = pixels.copy()
    for place, side, draws in _squares(pixels, BLOCKS, strength, BLOCK_SIDE, random):
        blocked[_square(place, side)] = (256 * draws).astype(np.uint8)
    return blocked


def _squares(
    pixels: Pixels, number: Parameter, strength: float, side: int, random: np.random.Generator
) -> Iterator[tuple[tuple[int, int], int, Values]]:
    """Top left corner, side and three draws in [0, 1) of each square.

    Those of a lower strength are among those of a higher one. A fraction of a square is a smaller
    one, so that the damage is continuous in the strength.
    """
    height, width = pixels.shape[:2]
    share = height * width / TABLED_AREA
    draws = random.random((math.ceil(number.at(LEVELS) * share), 5), dtype=np.float32)
    wanted = number.at(strength) * share
    for index in range(math.ceil(wanted)):
        part = min(1.0, wanted - index)
        own = min(round(side * math.sqrt(part)), height, width)
        row, column = draws[index, :2] * (height - own + 1, width - own + 1)
        if own:
            yield (int(row), int(column)), own, draws[index, 2:]


def _square(place: tuple[int, int], side: int) -> tuple[slice, slice]:
    row, column = place
    return slice(row, row + side), slice(column, column + side)
