"""The size of image that tabled strengths hold for."""

from __future__ import annotations

from lifeiqa.preprocess.crops import resize
from lifeiqa.preprocess.decode import Pixels

TABLED_SHORT_SIDE = 384
"""Shorter side of the images that people scored, pixels."""


def reduced(pixels: Pixels, short_side: int = TABLED_SHORT_SIDE) -> Pixels:
    """The image ``(H, W, 3)`` reduced to a shorter side; a smaller one as it is."""
    height, width = pixels.shape[:2]
    short = min(height, width)
    if short <= short_side:
        return pixels
    height, width = ((2 * side * short_side + short) // (2 * short) for side in (height, width))
    result: Pixels = resize(pixels, height, width, "bicubic")
    return result
