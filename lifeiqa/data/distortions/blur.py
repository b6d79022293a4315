"""Blur: Gaussian, of a lens out of focus, of a motion."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from lifeiqa.data.distortions.kinds import Parameter
from lifeiqa.data.distortions.values import (
    Values,
    convolved,
    gaussian,
    pixels_from_values,
    values_from_pixels,
)
from lifeiqa.preprocess.decode import Pixels

SIGMA = Parameter(0, (0.1, 0.5, 1, 2, 5))
"""Standard deviation of the Gaussian, pixels."""
RADIUS = Parameter(0, (1, 2, 4, 6, 8))
"""Radius of the disk of a lens out of focus, pixels."""
LENGTH = Parameter(1, (1, 2, 4, 6, 10))
"""Length of a motion, pixels; 1 is none."""


def gaussian_blur(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Gaussian blur of each channel."""
    return pixels_from_values(gaussian(values_from_pixels(pixels), SIGMA.at(strength)))


def lens_blur(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Mean over a disk."""
    kernel = disk(RADIUS.at(strength))
    return pixels_from_values(convolved(values_from_pixels(pixels), kernel))


def motion_blur(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Mean along a line; its angle is drawn."""
    angle = random.uniform(0, math.pi)
    kernel = line(LENGTH.at(strength), angle)
    return pixels_from_values(convolved(values_from_pixels(pixels), kernel))


def disk(radius: float) -> Values:
    """A disk ``(2 n + 1, 2 n + 1)`` of sum 1; pixels on its rim count by their share."""
    reach = math.ceil(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return _normalised(np.clip(radius + 0.5 - np.hypot(rows, columns), 0, 1))


def line(length: float, angle: float) -> Values:
    """A line ``(2 n + 1, 2 n + 1)`` of sum 1 and one pixel wide; ``angle`` in radians."""
    half = (length - 1) / 2
    reach = math.ceil(half) + 1
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = columns * math.cos(angle) - rows * math.sin(angle)
    across = columns * math.sin(angle) + rows * math.cos(angle)
    distance = np.hypot(np.maximum(np.abs(along) - half, 0), across)
    return _normalised(np.clip(1 - distance, 0, 1))


def _normalised(kernel: npt.NDArray[np.float64]) -> Values:
    normalised: Values = (kernel / kernel.sum()).astype(np.float32)
    return normalised
