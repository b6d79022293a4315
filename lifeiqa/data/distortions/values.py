"""Between 8-bit samples and real values, and the filters that several kinds use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from lifeiqa.errors import require
from lifeiqa.preprocess.decode import Pixels

Values: TypeAlias = npt.NDArray[np.float32]
"""Real values, ``(H, W)`` or ``(H, W, C)``; samples of an image are in [0, 1]."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of R, G and B in the luma of ITU-R BT.601."""


def values_from_pixels(pixels: Pixels) -> Values:
    """8-bit samples as values in [0, 1]."""
    return pixels.astype(np.float32) * np.float32(1 / 255)


def pixels_from_values(values: Values) -> Pixels:
    """Values in [0, 1] as 8-bit samples, rounded; what lies outside is clipped."""
    scaled = values * np.float32(255) + np.float32(0.5)
    return np.clip(scaled, 0, 255.5, out=scaled).astype(np.uint8)


def pixels_from_table(pixels: Pixels, table: npt.NDArray[np.float64]) -> Pixels:
    """Map every sample by a table ``(256,)`` of values in [0, 1]."""
    return pixels_from_values(table.astype(np.float32))[pixels]


LEVELS_8BIT = np.arange(256) / 255
"""The values of 8-bit samples."""


def gaussian(values: Values, sigma: float) -> Values:
    """Gaussian low-pass over height and width, with mirrored edges; ``sigma`` in pixels."""
    if sigma < 2:
        sigmas = (sigma, sigma) + (0,) * (values.ndim - 2)
        smoothed: Values = _ndimage().gaussian_filter(values, sigmas, truncate=3.5)
        return smoothed
    # Wide ones are cheaper as a product of cosine spectra, whose edges are mirrored, too.
    return filtered(values, lambda frequency: np.exp(-0.5 * (2 * np.pi * sigma * frequency) ** 2))


def filtered(values: Values, response: Callable[[Values], Values]) -> Values:
    """Low-pass over height and width, with mirrored edges.

    Args:
        values: ``(H, W)`` or ``(H, W, C)``.
        response: frequencies in cycles a pixel, 0 to 0.5, ``(n,)`` -> gain along either axis.
    """
    fft = require("scipy.fft", extra="evaluation", purpose="distortions of images")
    planes = np.moveaxis(values, -1, 0) if values.ndim == 3 else values  # (C, H, W) or (H, W)
    height, width = planes.shape[-2:]
    rows, columns = (
        response((np.arange(size) / (2 * size)).astype(np.float32)) for size in (height, width)
    )
    spectrum = fft.dctn(planes, axes=(-2, -1))
    spectrum *= rows[:, np.newaxis] * columns
    found: Values = fft.idctn(spectrum, axes=(-2, -1), overwrite_x=True)
    return np.moveaxis(found, 0, -1) if values.ndim == 3 else found


def box(values: Values, size: int) -> Values:
    """Mean over ``size`` x ``size`` pixels, with mirrored edges."""
    sizes = (size, size) + (1,) * (values.ndim - 2)
    smoothed: Values = _ndimage().uniform_filter(values, sizes)
    return smoothed


def convolved(values: Values, kernel: Values) -> Values:
    """Convolution of ``(H, W, C)`` with an odd-sized kernel ``(h, w)``, with mirrored edges."""
    fft = require("scipy.fft", extra="evaluation", purpose="distortions of images")
    high, wide = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(values, ((high, high), (wide, wide), (0, 0)), mode="symmetric")
    planes = np.moveaxis(padded, -1, 0)  # (C, H + 2 high, W + 2 wide)
    # Circular: what wraps round ends in the margin that is cut away.
    shape = [fft.next_fast_len(size, real=True) for size in planes.shape[1:]]
    spectrum = fft.rfft2(planes, shape) * fft.rfft2(kernel, shape)
    whole = fft.irfft2(spectrum, shape)
    height, width = values.shape[:2]
    found = whole[:, 2 * high : 2 * high + height, 2 * wide : 2 * wide + width]
    result: Values = np.moveaxis(found, 0, -1)
    return result


def largest(values: Values, size: int) -> Values:
    """Maximum over ``size`` x ``size`` pixels of ``(H, W)``."""
    found: Values = _ndimage().maximum_filter(values, size)
    return found


def shifted(values: Values, rows: float, columns: float) -> Values:
    """``(H, W)`` moved down and right by fractions of pixels, linear between them, edges held."""
    found: Values = _ndimage().shift(values, (rows, columns), order=1, mode="nearest")
    return found


def warped(values: Values, rows: Values, columns: Values) -> Values:
    """``(H, W, C)`` read at each pixel's place plus ``rows`` and ``columns`` ``(H, W)``.

    Linear between pixels; places outside are moved to the edge.
    """
    height, width, channels = values.shape
    down = np.clip(rows + np.arange(height, dtype=np.float32)[:, np.newaxis], 0, height - 1)
    right = np.clip(columns + np.arange(width, dtype=np.float32), 0, width - 1)
    top, left = down.astype(np.intp), right.astype(np.intp)
    down -= top
    right -= left
    bottom, farther = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    top *= width
    bottom *= width
    corners = top + left, top + farther, bottom + left, bottom + farther
    result = np.empty_like(values)
    for channel in range(channels):  # one plane at a time is twice as fast
        plane = values[..., channel].ravel()
        upper, upper_right, lower, lower_right = (np.take(plane, corner) for corner in corners)
        upper += right * (upper_right - upper)
        lower += right * (lower_right - lower)
        result[..., channel] = upper + down * (lower - upper)
    return result


def demosaiced(values: Values) -> Values:
    """What bilinear demosaicing makes of the samples that a Bayer mosaic keeps.

    ``(H, W, 3)``; the mosaic is red, green, green, blue.
    """
    kept = np.zeros_like(values)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        kept[row::2, column::2, channel] = values[row::2, column::2, channel]
    ndimage = _ndimage()
    tent = np.array([0.5, 1, 0.5], np.float32)
    found = np.empty_like(values)
    for channel in (0, 2):
        rows = ndimage.convolve1d(kept[..., channel], tent, axis=0, mode="mirror")
        found[..., channel] = ndimage.convolve1d(rows, tent, axis=1, mode="mirror")
    cross = np.array([[0, 0.25, 0], [0.25, 1, 0.25], [0, 0.25, 0]], np.float32)
    found[..., 1] = ndimage.convolve(kept[..., 1], cross, mode="mirror")
    return found


def enlarged(values: Values, height: int, width: int) -> Values:
    """``(h, w)`` in [0, 1] spread smoothly over ``(height, width)``."""
    image = Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC)
    clipped: Values = np.clip(np.asarray(image), 0, 1)
    return clipped


def _ndimage() -> Any:
    return require("scipy.ndimage", extra="evaluation", purpose="distortions of images")
