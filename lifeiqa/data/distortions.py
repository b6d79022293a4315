"""Distortions of known kind and rising strength, the same on every machine of one Pillow and numpy.

Each kind has five levels, from one that is just visible to one that nobody would overlook, in the
spirit of TID2013 and KADID-10k but with strengths of our own.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from lifeiqa.errors import ConfigError
from lifeiqa.preprocess.decode import Pixels, decode

LEVELS = 5
"""Levels of every kind; level 0 is the untouched image."""

STRENGTHS: dict[str, tuple[float, ...]] = {
    "blur": (0.7, 1.2, 2.0, 3.2, 5.0),  # standard deviation of the Gaussian, pixels
    "noise": (6, 12, 20, 32, 50),  # standard deviation of the Gaussian, 8-bit levels
    "jpeg": (40, 25, 16, 10, 5),  # quality, 1 to 100
    "jpeg2000": (16, 32, 64, 128, 256),  # compression ratio
    "contrast": (3 / 4, 1 / 2, 3 / 8, 1 / 4, 1 / 8),  # share kept of the distance to middle grey
    "colour": (3 / 4, 1 / 2, 3 / 8, 1 / 4, 0),  # share kept of the distance to grey
    "darken": (3 / 4, 1 / 2, 1 / 3, 1 / 5, 1 / 8),  # share kept of the light
}
"""Kind -> its strength at levels 1 to 5."""


def distort(pixels: Pixels, kind: str, level: int, *, seed: int = 0) -> Pixels:
    """Distort an image at its own size.

    Args:
        pixels: RGB uint8 ``(H, W, 3)``, of any size; it is not changed.
        kind: a key of `STRENGTHS`.
        level: 1 to 5, rising; 0 gives the image back as it is.
        seed: draws the noise. All levels of one seed and size scale one and the same field, so
            that nothing but the strength differs between them.

    Returns:
        RGB uint8 ``(H, W, 3)``.

    Raises:
        ConfigError: there is no such kind or level, or this Pillow was built without its codec.
        ImageError: the array is no RGB image.
    """
    if kind not in STRENGTHS:
        raise ConfigError(f"distortion {kind!r}: choose one of {', '.join(STRENGTHS)}")
    if level not in range(LEVELS + 1):
        raise ConfigError(f"level {level} of {kind}: choose 0 (untouched) to {LEVELS} (severe)")
    pixels = decode(pixels)
    if level == 0:
        return pixels
    strength = STRENGTHS[kind][level - 1]
    if kind == "noise":
        field = np.random.default_rng(seed).standard_normal(pixels.shape)
        return _samples(pixels + strength * field)
    return _FORMS[kind](pixels, strength)


def _blur(pixels: Pixels, sigma: float) -> Pixels:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma)))


def _jpeg(pixels: Pixels, quality: float) -> Pixels:
    return _recoded(pixels, "JPEG", quality=int(quality))


def _jpeg2000(pixels: Pixels, ratio: float) -> Pixels:
    # The irreversible wavelet (9/7) is the one of lossy files.
    options = {"quality_mode": "rates", "quality_layers": [ratio], "irreversible": True}
    return _recoded(pixels, "JPEG2000", **options)


def _recoded(pixels: Pixels, codec: str, **options: Any) -> Pixels:
    """What is left of an image after a file of Pillow's format ``codec``."""
    stream = io.BytesIO()
    try:
        Image.fromarray(pixels).save(stream, codec, **options)
    except (KeyError, OSError) as error:
        raise ConfigError(
            f"this Pillow cannot write {codec}: {error}. Install a build that can, "
            f"or leave the distortion out"
        ) from error
    return np.asarray(Image.open(stream, formats=[codec]).convert("RGB"))


def _contrast(pixels: Pixels, kept: float) -> Pixels:
    return _towards(pixels, 128, kept)


def _colour(pixels: Pixels, kept: float) -> Pixels:
    grey = np.asarray(Image.fromarray(pixels).convert("L"))  # (H, W), luma of ITU-R BT.601
    return _towards(pixels, grey[:, :, np.newaxis], kept)


def _darken(pixels: Pixels, kept: float) -> Pixels:
    return _towards(pixels, 0, kept)


def _towards(pixels: Pixels, goal: npt.ArrayLike, kept: float) -> Pixels:
    """Move every sample towards its goal, keeping a share of the distance."""
    goal = np.asarray(goal, dtype=np.float64)
    return _samples(goal + kept * (pixels - goal))


def _samples(values: npt.NDArray[np.float64]) -> Pixels:
    """Back to 8 bits. The cast cuts fractions off: recorded parity figures rest on these bytes."""
    return np.clip(values, 0, 255).astype(np.uint8)


_FORMS: dict[str, Callable[[Pixels, float], Pixels]] = {
    "blur": _blur,
    "jpeg": _jpeg,
    "jpeg2000": _jpeg2000,
    "contrast": _contrast,
    "colour": _colour,
    "darken": _darken,
}
