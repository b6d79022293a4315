"""Full-reference measures: how far a distorted image is from its original, larger is farther.

Plain NumPy and SciPy, for estimating what people would think of a kind of distortion that has no
table of opinions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from lifeiqa.data.distortions.values import LUMA
from lifeiqa.metrics import FloatArray
from lifeiqa.preprocess.decode import Pixels

MEASURED_SIDE = 256
"""Shorter side that images are averaged down to, as the measures' authors do."""


def mdsi(original: Pixels, distorted: Pixels) -> float:
    """Mean deviation similarity index (Nafchi et al., IEEE Access 2016), 0 for equal images."""
    first, second = _reduced(original), _reduced(distorted)
    grey = np.array([0.2989, 0.5870, 0.1140])
    luma = [image @ grey for image in (first, second)]
    one, two, fused = (_prewitt(plane) for plane in (*luma, (luma[0] + luma[1]) / 2))
    gradient = (
        _similarity(one, two, 140) + _similarity(two, fused, 55) - _similarity(one, fused, 55)
    )
    opponent = np.array([[0.30, 0.04, -0.35], [0.34, -0.60, 0.17]]).T
    (h1, m1), (h2, m2) = (np.moveaxis(image @ opponent, -1, 0) for image in (first, second))
    color = (2 * (h1 * h2 + m1 * m2) + 550) / (h1**2 + h2**2 + m1**2 + m2**2 + 550)
    # The fourth root of what is below 0 is complex, as in the authors' definition.
    roots = (0.6 * gradient + 0.4 * color).astype(np.complex128) ** 0.25
    return float(np.mean(np.abs(roots - roots.mean())) ** 0.25)


def gmsd(original: Pixels, distorted: Pixels) -> float:
    """Gradient magnitude similarity deviation (Xue et al., IEEE TIP 2014), 0 for equal images."""
    one, two = (_prewitt(_reduced(image) @ LUMA) for image in (original, distorted))
    return float(_similarity(one, two, 170).std())


def ms_ssim(original: Pixels, distorted: Pixels) -> float:
    """1 less multi-scale SSIM of the luma (Wang et al., 2003), 0 for equal images."""
    first, second = (image.astype(np.float64) @ LUMA for image in (original, distorted))
    product = 1.0
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    for scale, weight in enumerate(weights):
        luminance, structure = _ssim(first, second)
        found = structure * luminance if scale == len(weights) - 1 else structure
        product *= max(float(found.mean()), 0.0) ** weight
        first, second = (ndimage.uniform_filter(image, 2)[::2, ::2] for image in (first, second))
    return 1 - product


MEASURES: dict[str, Callable[[Pixels, Pixels], float]] = {
    "mdsi": mdsi,
    "gmsd": gmsd,
    "ms_ssim": ms_ssim,
}
"""Name -> measure of ``(original, distorted)``, both ``(H, W, 3)`` uint8."""


def _ssim(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def mean(values: FloatArray) -> FloatArray:
        found: FloatArray = ndimage.gaussian_filter(values, 1.5, truncate=3.4)
        return found

    m1, m2 = mean(first), mean(second)
    v1, v2 = mean(first**2) - m1**2, mean(second**2) - m2**2
    both = mean(first * second) - m1 * m2
    luminance = (2 * m1 * m2 + c1) / (m1**2 + m2**2 + c1)
    return luminance, (2 * both + c2) / (v1 + v2 + c2)


def _reduced(pixels: Pixels) -> FloatArray:
    factor = max(1, round(min(pixels.shape[:2]) / MEASURED_SIDE))
    values = pixels.astype(np.float64)
    if factor == 1:
        return values
    mean: FloatArray = ndimage.uniform_filter(values, (factor, factor, 1))[::factor, ::factor]
    return mean


def _prewitt(plane: FloatArray) -> FloatArray:
    found: FloatArray = np.hypot(
        *(ndimage.prewitt(plane, axis, mode="constant") / 3 for axis in (0, 1))
    )
    return found


def _similarity(one: FloatArray, two: FloatArray, constant: float) -> FloatArray:
    result: FloatArray = (2 * one * two + constant) / (one**2 + two**2 + constant)
    return result
