"""Sharpening past what was there."""

from __future__ import annotations

import numpy as np

from lifeiqa.data.distortions.colorspace import lab_from_pixels, pixels_from_lab
from lifeiqa.data.distortions.kinds import Parameter
from lifeiqa.data.distortions.values import gaussian
from lifeiqa.preprocess.decode import Pixels

AMOUNT = Parameter(0, (1, 2, 3, 6, 12))
"""Share of the difference from the blurred image that is added."""
SHARPEN_SIGMA = 3.0
"""Standard deviation of that blur, pixels."""


def high_sharpen(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Unsharp masking of the lightness."""
    lab = lab_from_pixels(pixels)
    lightness = lab[..., 0]
    sharp = lightness + AMOUNT.at(strength) * (lightness - gaussian(lightness, SHARPEN_SIGMA))
    lab[..., 0] = np.clip(sharp, 0, 100)
    return pixels_from_lab(lab)
