"""From an image, wherever it lies, to what scoring needs of it."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from lifeiqa.config import Preprocessing
from lifeiqa.errors import ImageError
from lifeiqa.preprocess.crops import CropPlan, at_working_scale, crops_at, resize
from lifeiqa.preprocess.decode import MAX_PIXELS, ImageSource, describe, load
from lifeiqa.preprocess.raster import Pixels, Raster

THUMBNAIL_SIDE = 128
"""Longest side of a thumbnail, in pixels; a smaller image keeps its size."""


@dataclass(frozen=True)
class Cut:
    """An image, decoded and cut.

    Attributes:
        crops: uint8 ``(N, S, S, 3)``.
        width: of the upright image, in pixels.
        height: of the upright image, in pixels.
        thumbnail: the bytes of a WebP file; None unless asked for.
    """

    crops: Pixels
    width: int
    height: int
    thumbnail: bytes | None = None


def cut(
    source: ImageSource,
    preprocessing: Preprocessing,
    size: int,
    *,
    max_pixels: int = MAX_PIXELS,
    thumbnail: bool = False,
) -> Cut:
    """Decode an image and cut it into crops as its model wants them.

    Args:
        source: see `lifeiqa.preprocess.decode.decode`.
        preprocessing: working scale, kernel and crop plan.
        size: side S of a crop in pixels.
        max_pixels: largest width times height that is decoded.
        thumbnail: whether to make one too.

    Raises:
        ImageError: it cannot be decoded or cropped; the message names it and the cause.
        ConfigError: the crop plan cannot be read, or the working scale is below the crop.
    """
    plan = CropPlan.parse(preprocessing.crops)
    image = load(source, max_pixels=max_pixels)
    full_height, full_width = image.shape[:2]
    try:
        image = at_working_scale(image, preprocessing, size)
    except ImageError as error:
        raise ImageError(f"{describe(source)}: {error}") from error
    height, width = image.shape[:2]
    crops = crops_at(plan.windows(height, width, size), image, size)
    small = _thumbnail(image) if thumbnail else None
    return Cut(crops, full_width, full_height, small)


def _thumbnail(image: Raster) -> bytes:
    height, width = image.shape[:2]
    longest = max(height, width, THUMBNAIL_SIDE)
    height, width = (max(1, side * THUMBNAIL_SIDE // longest) for side in (height, width))
    stream = io.BytesIO()
    small = resize(image, height, width, "bilinear")
    Image.fromarray(small[:]).save(stream, "WEBP", quality=75, method=0)
    return stream.getvalue()
