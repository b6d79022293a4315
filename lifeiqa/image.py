"""From a file, bytes, a Pillow image or an array to RGB uint8, by one policy.

- JPEG, PNG, WebP, BMP, TIFF, GIF, PPM and, where Pillow has it, AVIF. No other decoder of Pillow
  is ever tried. JPEG 2000 is left out: its decoder gives a truncated file's missing tiles as black.
- The EXIF orientation is applied; an orientation that cannot be read counts as upright.
- 16-bit samples keep their high byte (``v >> 8``), for grey as for colour pictures.
- Transparency is composited on white: ``(c a + 255 (255 - a) + 127) // 255`` for each sample.
- CMYK, YCbCr, LAB and palettes are converted by Pillow; colour profiles are not applied, as they
  were not in training.
- Of an animation or a file of several pages, the first picture counts.
- The size is read from the header, before any pixel: larger than the limit is an error.
- A file whose pixels end early, or that its decoder finds damaged, is an error, never a score. So
  is a PNG of which a checksum is wrong, up to its last pixel; Pillow does not look at those.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from lifeiqa.errors import ImageError

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""RGB picture, uint8 ``(H, W, 3)``."""
ImageSource: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | npt.NDArray[Any]
"""A path, the bytes of a file, a Pillow image, or an array ``(H, W, 3)`` of uint8."""

# Importing a plugin registers its format, unless Pillow was built without its library.
_PLUGINS = (
    AvifImagePlugin.AvifImageFile,
    BmpImagePlugin.BmpImageFile,
    GifImagePlugin.GifImageFile,
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    PpmImagePlugin.PpmImageFile,
    TiffImagePlugin.TiffImageFile,
    WebPImagePlugin.WebPImageFile,
)
FORMATS = tuple(plugin.format for plugin in _PLUGINS if plugin.format in Image.OPEN)
"""Pillow's names of the formats that are read."""
# fmt: off
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".avif",
})
# fmt: on
"""File name endings that a search of a folder takes for pictures."""
MAX_PIXELS = 128_000_000
"""Largest picture decoded unless the caller says otherwise: 128 megapixels, 384 MB as RGB."""

_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Pillow warns about sizes and tags through the process-wide filters, which only one thread may
# change at a time. Reading a header is short, so the lock costs nothing.
_warnings_lock = threading.Lock()


def decode(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode a picture by the policy above.

    Args:
        source: a path, the bytes of a file, a Pillow image or a uint8 array ``(H, W, 3)``.
        max_pixels: largest width times height accepted. Pillow itself stops at 178,956,970.

    Returns:
        A contiguous uint8 array ``(H, W, 3)``; an array that already is one is returned as it is.

    Raises:
        ImageError: it is not a picture, is damaged or too large; names the file and the cause.
    """
    if isinstance(source, np.ndarray):
        return _checked_array(source)
    name = describe(source)
    with _explained(name), _opened(source) as image:
        _require_size(image, name, max_pixels)
        if ImageFile.LOAD_TRUNCATED_IMAGES:
            raise ImageError(
                f"{name}: PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set in this process, so a "
                f"damaged file would get a score; leave it False"
            )
        if isinstance(image, PngImagePlugin.PngImageFile) and image is not source:
            _require_sums(image.fp)
        _load(image)
        return np.ascontiguousarray(_to_rgb(_upright(image), name))


def size_in_header(
    source: str | os.PathLike[str] | bytes, *, max_pixels: int = MAX_PIXELS
) -> tuple[int, int]:
    """Width and height of a picture as it is stored, from its header; no pixel is decoded.

    Raises:
        ImageError: it is not a picture or is too large, as `decode` would find. Damage behind
            the header is for `decode` to find.
    """
    name = describe(source)
    with _explained(name), _opened(source) as image:
        _require_size(image, name, max_pixels)
        return image.size


def describe(source: ImageSource) -> str:
    """What an error message calls the picture."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    return f"<{type(source).__name__}>"


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Whatever goes wrong inside becomes an `ImageError` that names the picture and the cause."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise almost anything on a hostile file
        cause = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            cause = f"not a picture in a format that is read ({', '.join(FORMATS)})"
        elif isinstance(error, OSError) and error.strerror:
            cause = error.strerror
        raise ImageError(f"{name}: {cause}") from error


def _require_size(image: Image.Image, name: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise ImageError(
            f"{name}: {image.width}x{image.height} has more than {max_pixels:,} pixels; "
            f"reduce the picture or raise max_pixels"
        )


def _require_sums(file: Any) -> None:
    """Refuse a PNG with a damaged chunk among those that make its pixels.

    What stands behind the pixels is left aside, and so are chunks that are marked as ancillary.
    """
    at = file.tell()
    file.seek(8)
    inside = False
    while True:
        header = file.read(8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if inside and kind != b"IDAT":
            break
        data, stated = file.read(length), file.read(4)
        if len(stated) < 4:
            raise ValueError("image file is truncated")
        actual = zlib.crc32(data, zlib.crc32(kind))
        if kind[:1].isupper() and actual != int.from_bytes(stated, "big"):
            raise ValueError(f"damaged: the checksum of its chunk {kind!r} is wrong")
        inside = kind == b"IDAT"
    file.seek(at)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _opened(
    source: str | os.PathLike[str] | bytes | Image.Image,
) -> contextlib.AbstractContextManager[Image.Image]:
    if isinstance(source, Image.Image):
        return contextlib.nullcontext(source)  # whoever opened it closes it
    stream = io.BytesIO(source) if isinstance(source, bytes) else Path(source)
    with _quietly():
        return Image.open(stream, formats=FORMATS)


def _load(image: Image.Image) -> None:
    # Loading a TIFF checks its size and reads its tags once more.
    with _quietly() if image.format == "TIFF" else contextlib.nullcontext():
        image.load()


def _upright(image: Image.Image) -> Image.Image:
    try:
        with _quietly():
            orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # a damaged EXIF block says nothing about the pixels
        orientation = 1
    transpose = _ORIENTATIONS.get(orientation)
    return image if transpose is None else image.transpose(transpose)


def _to_rgb(image: Image.Image, name: str) -> Pixels:
    if image.mode.startswith("I"):  # I;16, I;16B, I;16L, and I for some 16-bit files
        grey = np.asarray(image).astype(np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ImageError(
                f"{name}: samples run from {grey.min()} to {grey.max()}; "
                f"grey pictures of 8 or 16 bits are read"
            )
        samples = (grey >> 8).astype(np.uint8)
        samples[grey == image.info.get("transparency")] = 255  # a colour key, as PNG has it
        return np.repeat(samples[:, :, np.newaxis], 3, axis=2)
    if image.mode == "F":
        raise ImageError(f"{name}: floating-point samples have no fixed range; convert to 8 bits")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        return _on_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def _on_white(rgba: npt.NDArray[np.uint8]) -> Pixels:
    alpha = rgba[:, :, 3:].astype(np.uint16)
    mixed = rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127  # at most 65,152
    return (mixed // 255).astype(np.uint8)


def _checked_array(array: npt.NDArray[Any]) -> Pixels:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ImageError(
            f"array of {array.dtype} {array.shape}: RGB uint8 of shape (H, W, 3) is expected"
        )
    return np.ascontiguousarray(array)
