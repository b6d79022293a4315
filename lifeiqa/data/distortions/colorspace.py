"""sRGB, linear light and CIELAB (D65), by tables that are finer than 8 bits."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from lifeiqa.data.distortions.values import Values
from lifeiqa.preprocess.decode import Pixels

_XYZ_FROM_RGB = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = _XYZ_FROM_RGB.sum(1)  # of R = G = B = 1
_TO_RELATIVE = (_XYZ_FROM_RGB / _WHITE[:, np.newaxis]).T.astype(np.float32)
_FROM_RELATIVE = np.linalg.inv(_XYZ_FROM_RGB / _WHITE[:, np.newaxis]).T.astype(np.float32)
_STEPS = 65535
_BEND = 6 / 29  # below it, the cube root of CIELAB is a straight line


def linear_from_pixels(pixels: Pixels) -> Values:
    """Light in [0, 1], proportional to radiance, from samples of sRGB."""
    return np.take(_linear_table(), pixels)


def pixels_from_linear(linear: Values) -> Pixels:
    """Samples of sRGB from light; what lies outside [0, 1] is clipped."""
    return np.take(_srgb_table(), _places(linear))


def lab_from_pixels(pixels: Pixels) -> Values:
    """CIELAB ``(H, W, 3)``: L in [0, 100], a and b about 0, from samples of sRGB."""
    relative = linear_from_pixels(pixels) @ _TO_RELATIVE
    roots = np.take(_root_table(), _places(relative))
    x, y, z = np.moveaxis(roots, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def pixels_from_lab(lab: Values) -> Pixels:
    """Samples of sRGB from CIELAB; what lies outside the gamut is clipped."""
    y = (lab[..., 0] + 16) * np.float32(1 / 116)
    roots = np.stack([y + lab[..., 1] * 0.002, y, y - lab[..., 2] * 0.005], axis=-1)
    line = (roots - np.float32(4 / 29)) * np.float32(3 * _BEND**2)
    relative = np.where(roots > _BEND, roots * roots * roots, line)
    return pixels_from_linear(relative @ _FROM_RELATIVE)


def _places(values: Values) -> npt.NDArray[np.uint16]:
    scaled = values * np.float32(_STEPS) + np.float32(0.5)
    return np.clip(scaled, 0, _STEPS, out=scaled).astype(np.uint16)


@functools.cache
def _linear_table() -> Values:
    coded = np.arange(256) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


@functools.cache
def _srgb_table() -> Pixels:
    linear = np.arange(_STEPS + 1) / _STEPS
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    table: Pixels = np.rint(255 * coded).astype(np.uint8)
    return table


@functools.cache
def _root_table() -> Values:
    share = np.arange(_STEPS + 1) / _STEPS
    line = share / (3 * _BEND**2) + 4 / 29
    return np.where(share > _BEND**3, np.cbrt(share), line).astype(np.float32)
