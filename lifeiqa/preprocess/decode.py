"""Decode a file, bytes, a Pillow image or an array to RGB uint8, by one policy.

Step 1 of docs/reference/preprocessing.md is the specification: formats, orientation, bit depth,
transparency, colour, limits, and what is an error. Of Pillow's decoders only those named there are
tried. Nothing is written to standard output or standard error, not even by C libraries.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

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
    _imaging,
)

from lifeiqa.errors import ImageError
from lifeiqa.preprocess.integrity import is_animated_late, require_checksums, require_few_scans
from lifeiqa.preprocess.raster import PillowRaster, Raster, quietly
from lifeiqa.preprocess.raster import Pixels as Pixels  # part of what this module offers

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
"""Pillow's names of the supported formats."""
# fmt: off
SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".avif",
})
# fmt: on
"""File name endings of images, for searches of a folder."""
MAX_PIXELS = 128_000_000
"""Default limit of an image's width times height: 128 megapixels, 384 MB as RGB."""

_ORIENTATION_TAG = 0x0112
_GREY_TAGS = (0x0102, 0x0106, 0x0153)  # BitsPerSample, PhotometricInterpretation, SampleFormat
_WHITE_IS_ZERO, _SIGNED = 0, (2,)

# Pillow logs what it does not understand in a file. Only programs that configure logging see it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def decode(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Decode an image, step 1 of docs/reference/preprocessing.md.

    Args:
        source: a path, the bytes of a file, a Pillow image or a uint8 array ``(H, W, 3)``.
        max_pixels: largest width times height accepted. Pillow itself stops at 178,956,970.

    Returns:
        A contiguous uint8 array ``(H, W, 3)``. An array that already is one is returned itself.

    Raises:
        ImageError: it is not an image, is damaged, or is too large. The message names the image
            and the cause.
    """
    raster = load(source, max_pixels=max_pixels)
    return raster.pixels() if isinstance(raster, PillowRaster) else raster


def load(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Raster:
    """Like `decode`, but RGB rows are made on demand, unless an array is given.

    So a large image takes little more memory than Pillow needs to decode and keep it.
    """
    if isinstance(source, np.ndarray):
        return _checked_array(source)
    name = describe(source)
    with _explained(name), _opened(source) as image:
        _require_size(image, max_pixels)
        if ImageFile.LOAD_TRUNCATED_IMAGES:
            raise ImageError(
                "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set in this process, so a damaged file "
                "would get a score; leave it False"
            )
        if image is not source:
            _require_whole(image)
        bits = _bits(image)
        _load(image)
        raster = PillowRaster(image, _orientation(image), bits)
        raster[:1]  # raises now if Pillow cannot convert it to RGB
        return raster


def size_in_header(
    source: str | os.PathLike[str] | bytes, *, max_pixels: int = MAX_PIXELS
) -> tuple[int, int]:
    """Width and height of an image as it is stored, read from its header.

    Raises:
        ImageError: it is not an image or is too large. Damage after the header is not found.
    """
    name = describe(source)
    with _explained(name), _opened(source) as image:
        _require_size(image, max_pixels)
        return image.size


def describe(source: ImageSource) -> str:
    """What an error message calls the image."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    return f"<{type(source).__name__}>"


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn any exception into an `ImageError` that names the image and the cause."""
    try:
        yield
    except Exception as error:  # Pillow's decoders raise almost anything on a hostile file
        cause = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            cause = f"not an image in a supported format ({', '.join(FORMATS)})"
        elif isinstance(error, OSError) and error.strerror:
            cause = error.strerror
        elif isinstance(error, MemoryError):
            cause = "out of memory while decoding"
        raise ImageError(f"{name}: {cause}") from error


def _require_size(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise ImageError(
            f"{image.width}x{image.height} has more than {max_pixels:,} pixels; "
            f"reduce the image or raise max_pixels"
        )


@contextlib.contextmanager
def _opened(
    source: str | os.PathLike[str] | bytes | Image.Image,
) -> Iterator[Image.Image]:
    if isinstance(source, Image.Image):
        yield source  # the caller opened it, and closes it
        return
    with _stream(source) as stream:
        with quietly():
            image = Image.open(stream, formats=FORMATS)
        with image:
            yield image


def _stream(source: str | os.PathLike[str] | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    path = Path(source)
    if not _may_be_read(path.stat().st_mode):
        raise ImageError(
            "a pipe, a socket or a device, not a regular file; save the image to a file"
        )
    # Given a path, Pillow would map some files into memory, and read those by other rules.
    return path.open("rb")


def _may_be_read(mode: int) -> bool:
    # A pipe may block forever and a device may never end. Opening a folder fails by itself.
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _require_whole(image: Image.Image) -> None:
    if isinstance(image, PngImagePlugin.PngImageFile):
        require_checksums(cast(IO[bytes], image.fp))
    elif isinstance(image, JpegImagePlugin.JpegImageFile):
        require_few_scans(cast(IO[bytes], image.fp))


def _bits(image: Image.Image) -> int:
    """Bits of a sample of a grey image of more than 8 bits."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return 16
    with quietly():  # tags are parsed on access
        bits, photometric, form = map(image.tag_v2.get, _GREY_TAGS)
    if image.mode == "L" and form == _SIGNED:
        raise ImageError(
            "signed 8-bit samples, which Pillow reads as unsigned; convert them to unsigned"
        )
    if image.mode == "I" and bits == (32,):
        raise ImageError("32-bit samples; grey images of 8 or 16 bits are supported")
    if image.mode.startswith("I") and photometric == _WHITE_IS_ZERO:
        raise ImageError(
            "16-bit grey samples where 0 is white, which Pillow does not invert; invert them"
        )
    return 12 if bits == (12,) else 16


def _load(image: Image.Image) -> None:
    if image.format == "TIFF":
        _hush_libtiff()
        with quietly():  # Pillow checks the size and reads the tags again
            image.load()
    elif isinstance(image, PngImagePlugin.PngImageFile) and _is_animated_late(image):
        with quietly():
            image.load()
    else:  # without the lock of quietly: most decoders let other threads run
        image.load()


def _is_animated_late(image: PngImagePlugin.PngImageFile) -> bool:
    # The caller's image may be loaded already, and its file closed.
    return image.fp is not None and is_animated_late(image.fp)


@functools.cache
def _hush_libtiff() -> None:
    """Stop libtiff from writing to standard error. Pillow raises the errors anyway."""
    # Where libtiff is linked into Pillow's module, the function may not be exported.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)


def _orientation(image: Image.Image) -> object:
    try:
        with quietly():
            return image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # the pixels may be good even if the EXIF block is damaged
        return None


def _checked_array(array: npt.NDArray[Any]) -> Pixels:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ImageError(
            f"array of {array.dtype} {array.shape}: RGB uint8 of shape (H, W, 3) is expected"
        )
    return np.ascontiguousarray(array)
