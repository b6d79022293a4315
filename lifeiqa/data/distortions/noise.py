"""Noise: white, impulse, multiplicative, and what a denoiser leaves of it."""

from __future__ import annotations

import math

import numpy as np

from lifeiqa.data.distortions.kinds import Parameter
from lifeiqa.data.distortions.values import Values, box, pixels_from_values, values_from_pixels
from lifeiqa.preprocess.decode import Pixels

WHITE_VARIANCE = Parameter(0, (0.001, 0.002, 0.003, 0.005, 0.01))
"""Of the noise of each channel, for samples in [0, 1]."""
YCBCR_VARIANCE = Parameter(0, (0.0001, 0.0005, 0.001, 0.002, 0.003))
"""Of the noise of Y, Cb and Cr, for samples in [0, 1]."""
IMPULSE_SHARE = Parameter(0, (0.001, 0.005, 0.01, 0.02, 0.03))
"""Share of samples that become 0 or 255."""
MULTIPLICATIVE_VARIANCE = Parameter(0, (0.001, 0.005, 0.01, 0.02, 0.05))
"""Of the factor, whose mean is 1."""
DENOISE_GAIN = Parameter(4, (4, 4, 6, 10, 14))
"""Variance that the denoiser flattens, in units of that of the noise: chosen so that the damage is
as far from the original as blur of the same opinion is."""
DENOISE_RADIUS = Parameter(1, (2, 3, 4, 5, 6))
"""Reach of the denoiser, pixels."""

# From Y, Cb, Cr in video range (ITU-R BT.601: Y has 219 of 255 steps, Cb and Cr have 224).
_LUMA_GAIN, _CHROMA_GAIN = 255 / 219, 255 / 224
RGB_FROM_YCBCR = np.array(
    [
        [_LUMA_GAIN, 0, 1.402 * _CHROMA_GAIN],
        [_LUMA_GAIN, -0.344136 * _CHROMA_GAIN, -0.714136 * _CHROMA_GAIN],
        [_LUMA_GAIN, 1.772 * _CHROMA_GAIN, 0],
    ],
    np.float32,
)
"""Of differences of samples in [0, 1]."""


def white_noise(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Gaussian noise, independent in R, G and B."""
    noise = _normal(pixels, random, math.sqrt(WHITE_VARIANCE.at(strength)))
    return pixels_from_values(values_from_pixels(pixels) + noise)


def white_noise_ycbcr(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Gaussian noise, independent in Y, Cb and Cr, so that most of it is colour."""
    noise = _normal(pixels, random, math.sqrt(YCBCR_VARIANCE.at(strength)))
    return pixels_from_values(values_from_pixels(pixels) + noise @ RGB_FROM_YCBCR.T)


def impulse_noise(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Samples of R, G and B that become 0 or 255, as many of each."""
    share = IMPULSE_SHARE.at(strength)
    field = random.random(pixels.shape, dtype=np.float32)
    noisy = np.where(field < share / 2, np.uint8(0), pixels)
    return np.where(field >= 1 - share / 2, np.uint8(255), noisy)


def multiplicative_noise(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Every sample times its own factor, uniform around 1 (speckle)."""
    reach = math.sqrt(12 * MULTIPLICATIVE_VARIANCE.at(strength))
    factor = 1 + reach * (random.random(pixels.shape, dtype=np.float32) - 0.5)
    return pixels_from_values(values_from_pixels(pixels) * factor.astype(np.float32))


def denoise(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """`white_noise`, then a denoiser of each channel that takes texture for noise.

    The denoiser is a guided filter (He, Sun, Tang, 2013) whose guide is the noisy channel itself.
    """
    variance = WHITE_VARIANCE.at(strength)
    values = values_from_pixels(pixels) + _normal(pixels, random, math.sqrt(variance))
    radius = DENOISE_RADIUS.at(strength)
    threshold = DENOISE_GAIN.at(strength) * variance
    return pixels_from_values(guided(values, 2 * round(radius) + 1, threshold))


def guided(values: Values, size: int, threshold: float) -> Values:
    """Flatten each channel where its variance over ``size`` x ``size`` is below ``threshold``."""
    mean = box(values, size)
    variance = box(values * values, size) - mean * mean
    np.maximum(variance, 0, out=variance)
    gain: Values = np.divide(variance, variance + np.float32(threshold))
    offset: Values = np.multiply(1 - gain, mean)
    result: Values = box(gain, size) * values + box(offset, size)
    return result


def _normal(pixels: Pixels, random: np.random.Generator, sigma: float) -> Values:
    field: Values = random.standard_normal(pixels.shape, dtype=np.float32)
    field *= np.float32(sigma)
    return field
