"""What is left of an image after a lossy file."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from lifeiqa.data.distortions.kinds import Parameter
from lifeiqa.errors import ConfigError
from lifeiqa.preprocess.decode import Pixels

JPEG_QUALITY = Parameter(95, (43, 36, 24, 7, 4))
"""Quality of libjpeg, 1 to 100."""
JPEG2000_RATIO = Parameter(4, (12, 20, 28, 75, 200))
"""Compression ratio.

A list for KADID-10k has 16, 32, 45, 120, 170; with OpenJPEG these are as far from the original as
JPEG of lower opinions is, and the last two differ far less than their opinions do.
"""
WEBP_QUALITY = Parameter(95, (50, 25, 12, 4, 0), geometric=False)
"""Quality of libwebp, 0 to 100."""
AVIF_QUALITY = Parameter(90, (45, 30, 18, 9, 2), geometric=False)
"""Quality of Pillow's AVIF encoder, 0 to 100."""


def jpeg(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """JPEG with chroma at half size, as Pillow writes it."""
    return recoded(pixels, "JPEG", quality=round(JPEG_QUALITY.at(strength)))


def jpeg2000(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """JPEG 2000 at a rate, by the irreversible wavelet (9/7), the one of lossy files."""
    ratio = JPEG2000_RATIO.at(strength)
    options = {"quality_mode": "rates", "quality_layers": [ratio], "irreversible": True}
    return recoded(pixels, "JPEG2000", **options)


def webp(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """Lossy WebP."""
    return recoded(pixels, "WEBP", quality=round(WEBP_QUALITY.at(strength)), method=2)


def avif(pixels: Pixels, strength: float, random: np.random.Generator) -> Pixels:
    """AVIF with chroma at half size."""
    return recoded(pixels, "AVIF", quality=round(AVIF_QUALITY.at(strength)), speed=9, max_threads=1)


def recoded(pixels: Pixels, codec: str, **options: Any) -> Pixels:
    """Write the image in Pillow's format ``codec`` and read it again.

    Raises:
        ConfigError: this Pillow was built without the codec.
    """
    stream = io.BytesIO()
    try:
        Image.fromarray(pixels).save(stream, codec, **options)
    except (KeyError, OSError) as error:
        raise ConfigError(
            f"this Pillow cannot write {codec}: {error}. Install a build that can, "
            f"or leave the distortion out"
        ) from error
    return np.asarray(Image.open(stream, formats=[codec]).convert("RGB"))
