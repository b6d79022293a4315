"""Colors that run, move, become few, pale or garish."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from lifeiqa.data.distortions.colorspace import lab_from_pixels, pixels_from_lab
from lifeiqa.data.distortions.kinds import Parameter
from lifeiqa.data.distortions.values import (
    LUMA,
    Values,
    gaussian,
    largest,
    pixels_from_values,
    shifted,
    values_from_pixels,
)
from lifeiqa.preprocess.decode import Pixels

DIFFUSION_GAIN = Parameter(1, (1, 3, 6, 8, 12))
"""k: what a and b of CIELAB are multiplied by."""
DIFFUSION_SIGMA = Parameter(0, (3.5, 6.5, 11, 14, 20))
"""1.5 k + 2: standard deviation of the Gaussian on a and b, pixels."""
SHIFT = Parameter(0, (1, 3, 6, 8, 12))
"""How far green moves, pixels."""
STRONG_EDGE = 0.11
"""Slope of the grey, in [0, 1] a pixel, of an edge that takes the moved green whole."""
COLORS = Parameter(256, (64, 48, 32, 16, 8))
"""Size of the palette."""
SAMPLE_SIDE = 64
"""Longest side of the sample of pixels that the palette is chosen from."""
HSV_FACTOR = Parameter(1, (0.4, 0.2, 0.1, 0, -0.4), geometric=False)
"""What the saturation of HSV is multiplied by."""
LAB_FACTOR = Parameter(1, (1, 2, 3, 6, 9))
"""What a and b of CIELAB are multiplied by."""


def color_diffusion(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Color that runs over the edges of objects, and stronger: a and b blurred and multiplied."""
    lab = lab_from_pixels(pixels)
    chroma = gaussian(lab[..., 1:], DIFFUSION_SIGMA.at(strength))
    lab[..., 1:] = chroma * np.float32(DIFFUSION_GAIN.at(strength))
    return pixels_from_lab(lab)


def color_shift(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Green moved in a direction that is drawn, blended in where there are edges."""
    angle, distance = random.uniform(0, 2 * math.pi), SHIFT.at(strength)
    values = values_from_pixels(pixels)
    moved = shifted(values[..., 1], distance * math.sin(angle), distance * math.cos(angle))
    mask = _edges(values @ LUMA, distance)
    values[..., 1] += mask * (moved - values[..., 1])
    return pixels_from_values(values)


def color_quantization(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """A palette of the image's own colors (k-means), dithered by error diffusion."""
    image = Image.fromarray(pixels)
    # A median cut takes time by the number of colors: a sample of the pixels gives the same.
    width, height = (min(side, SAMPLE_SIDE) for side in image.size)
    sample = image.resize((width, height), Image.Resampling.NEAREST)
    colors = round(COLORS.at(strength))
    palette = sample.quantize(colors, method=Image.Quantize.MEDIANCUT, kmeans=1)
    dithered = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    return np.asarray(dithered.convert("RGB"))


def color_saturation_hsv(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """The saturation of HSV scaled, at the same hue and value; below 0 the hue is the opposite.

    At a fixed hue and value each sample is linear in the saturation.
    """
    values = values_from_pixels(pixels)
    value = values.max(axis=-1, keepdims=True)
    return pixels_from_values(value + np.float32(HSV_FACTOR.at(strength)) * (values - value))


def color_saturation_lab(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """The color of CIELAB, a and b, scaled up."""
    lab = lab_from_pixels(pixels)
    lab[..., 1:] *= np.float32(LAB_FACTOR.at(strength))
    return pixels_from_lab(lab)


def _edges(grey: Values, reach: float) -> Values:
    """How much of an edge lies within ``reach`` pixels, 0 to 1: 1 where it is a strong one."""
    rows, columns = np.gradient(np.pad(gaussian(grey, 1), 1, mode="edge"))
    steepness = np.hypot(rows, columns)[1:-1, 1:-1].astype(np.float32)
    found = gaussian(largest(steepness, 2 * round(reach) + 1), max(reach / 2, 0.5))
    mask: Values = np.clip(found / np.float32(STRONG_EDGE), 0, 1)
    return mask
