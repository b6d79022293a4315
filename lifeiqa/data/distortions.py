"""Distortions of known kind and strength, the same on every machine of one Pillow and numpy."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from lifeiqa.image import Pixels


def blur(pixels: Pixels) -> Pixels:
    """Gaussian blur of radius 2."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2)))


def noise(pixels: Pixels) -> Pixels:
    """Additive Gaussian noise of standard deviation 20, from a fixed seed."""
    drawn = np.random.default_rng(0).normal(0, 20, pixels.shape)
    return np.clip(pixels + drawn, 0, 255).astype(np.uint8)


def jpeg(pixels: Pixels) -> Pixels:
    """JPEG at quality 10."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=10)
    return np.asarray(Image.open(stream).convert("RGB"))


def darken(pixels: Pixels) -> Pixels:
    """A third of the light."""
    return pixels // 3


def flatten(pixels: Pixels) -> Pixels:
    """A quarter of the contrast, around middle grey."""
    return (96 + pixels // 4).astype(np.uint8)


DISTORTIONS: dict[str, Callable[[Pixels], Pixels]] = {
    "pristine": lambda pixels: pixels,
    "blur": blur,
    "noise": noise,
    "jpeg": jpeg,
    "darken": darken,
    "flatten": flatten,
}
"""Name -> distortion of RGB uint8 ``(H, W, 3)``, the untouched picture first."""
