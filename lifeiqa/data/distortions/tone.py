"""Brightness, contrast and the number of levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lifeiqa.data.distortions.kinds import Parameter
from lifeiqa.data.distortions.values import LEVELS_8BIT, pixels_from_table
from lifeiqa.preprocess.decode import Pixels

RISE = Parameter(0, (0.05, 0.1, 0.2, 0.35, 0.55))
"""How far the middle of the brightening curve rises, in [0, 1]."""
FALL = Parameter(0, (0.025, 0.05, 0.1, 0.2, 0.4))
"""How far the middle of the darkening curve falls, in [0, 1]."""
SHIFT = Parameter(0, (-0.15, -0.08, 0, 0.08, 0.15))
"""Added to every sample, in [0, 1]; the middle strength changes nothing."""
VALUES = Parameter(40, (20, 16, 13, 10, 7))
"""Number of values that samples may have."""
STEEPNESS = Parameter(0, (-0.6, -0.4, -0.18, 0.5, 0.9), geometric=False)
"""Slope of the contrast curve at middle grey, less the 1 of a straight one; -1 to 1."""


def brighten(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """A curve that lifts the middle tones; light ones are clipped at the higher strengths."""
    return pixels_from_table(pixels, _bent(RISE.at(strength)))


def darken(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """A curve that lowers the middle tones; dark ones are clipped at the higher strengths."""
    return pixels_from_table(pixels, _bent(-FALL.at(strength)))


def mean_shift(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """A constant added to every sample: darker at 1, unchanged at 3, lighter at 5."""
    return pixels_from_table(pixels, LEVELS_8BIT + SHIFT.at(strength))


def contrast_change(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """A flatter curve at 1, a nearly straight one at 3, a steeper one at 5."""
    return pixels_from_table(pixels, _steepened(STEEPNESS.at(strength)))


def quantization(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Few values, the same for R, G and B, chosen for the least square error (multi-Otsu)."""
    counts = np.bincount(pixels.ravel(), minlength=256)
    return pixels_from_table(pixels, _clustered(counts, round(VALUES.at(strength))))


def _clustered(counts: npt.NDArray[np.intp], number: int) -> npt.NDArray[np.float64]:
    """Sample -> the mean of its cluster, by Lloyd's iteration.

    It starts from equal shares of the cube root of the density, the best for many clusters
    (Panter and Dite, 1951).
    """
    density = np.cbrt(counts)
    share = (np.cumsum(density) - density / 2) / density.sum()
    own = np.floor(share * number).astype(np.intp)  # (256,), the cluster of each sample
    for _ in range(100):
        weight = np.bincount(own, counts, number)
        total = np.bincount(own, counts * LEVELS_8BIT, number)
        centers = total[weight > 0] / weight[weight > 0]
        found = np.searchsorted((centers[1:] + centers[:-1]) / 2, LEVELS_8BIT)
        if np.array_equal(found, own):
            break
        own = found
    means: npt.NDArray[np.float64] = centers[own]
    return means


def _bent(rise: float) -> npt.NDArray[np.float64]:
    """The parabola through 0, ``0.5 + rise`` at 0.5, and 1, monotone: clipped past its extremum."""
    curve = LEVELS_8BIT + 4 * rise * LEVELS_8BIT * (1 - LEVELS_8BIT)
    falling_back = np.minimum.accumulate(curve[::-1])[::-1]
    return np.maximum.accumulate(curve) if rise > 0 else falling_back


def _steepened(steepness: float) -> npt.NDArray[np.float64]:
    """A curve of slope ``1 + steepness`` at 0.5 and ``1 - steepness`` at both ends."""
    return LEVELS_8BIT - steepness / (2 * np.pi) * np.sin(2 * np.pi * LEVELS_8BIT)
