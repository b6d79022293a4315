"""A decoded image whose RGB rows are made on demand.

Pillow keeps four bytes per pixel, 400 MB for 100 megapixels. To rotate, convert and composite such
an image as a whole would take as much again for each step. A strip of rows takes almost nothing.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from lifeiqa.errors import ImageError

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""RGB image, uint8 ``(H, W, 3)``."""

# Pillow warns about sizes and tags. Warning filters are those of the whole process: only one thread
# may change them at a time. What runs under the lock is short, so the lock costs nothing.
_warnings_lock = threading.Lock()
_STRIP = 1 << 19  # pixels; a strip and its copies fit into the cache
_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PillowRaster:
    """An upright RGB image over a loaded Pillow image; the policy is `preprocess.decode`'s.

    Like an array it has a ``shape``, and ``raster[top:bottom]`` are rows.

    Args:
        image: loaded, as it is stored.
        orientation: the EXIF orientation, 1 to 8; anything else counts as upright.
        bits: of a sample of a grey image of more than 8 bits.

    Raises:
        ImageError: its samples have no fixed range.
    """

    def __init__(self, image: Image.Image, orientation: object = None, bits: int = 16) -> None:
        if image.mode == "F":
            raise ImageError("floating-point samples have no fixed range; convert to 8 bits")
        if image.mode == "I":
            low, high = image.getextrema()  # of the whole image, not of the rows on demand
            if low < 0 or high > 65535:  # type: ignore[operator]  # a pair for one channel
                raise ImageError(
                    f"samples run from {low} to {high}; grey images of 8 or 16 bits are supported"
                )
        self._image = image
        self._bits = bits
        self._orientation = next((value for value in _TRANSPOSES if value == orientation), 1)
        width, height = image.size if self._orientation < 5 else image.size[::-1]
        self.shape = (height, width, 3)

    def __getitem__(self, rows: slice) -> Pixels:
        """These rows, uint8 ``(n, W, 3)``."""
        return np.asarray(self.rows(rows))

    def rows(self, rows: slice) -> Image.Image:
        """These rows as a Pillow image of mode RGB; read-only."""
        top, bottom, _ = rows.indices(self.shape[0])
        strip = self._image
        if (top, bottom) != (0, self.shape[0]):
            with (
                quietly()
            ):  # a single row may have more pixels than Pillow accepts without a warning
                strip = strip.crop(self._stored_box(top, bottom))
        if self._orientation != 1:
            strip = strip.transpose(_TRANSPOSES[self._orientation])
        return _to_rgb(strip, self._bits)

    def pixels(self) -> Pixels:
        """All rows, contiguous."""
        pixels = np.empty(self.shape, np.uint8)
        for rows in strips(*self.shape[:2]):
            pixels[rows] = self[rows]
        return pixels

    def _stored_box(self, top: int, bottom: int) -> tuple[int, int, int, int]:
        """Left, upper, right and lower edge, in the stored image, of upright rows."""
        width, height = self._image.size
        across = self._orientation >= 5  # rows are stored as columns
        if self._orientation in (3, 4, 7, 8):  # the last row is stored first
            end = width if across else height
            top, bottom = end - bottom, end - top
        return (top, 0, bottom, height) if across else (0, top, width, bottom)


Raster: TypeAlias = Pixels | PillowRaster
"""An image with a ``shape`` ``(H, W, 3)`` whose slices are RGB rows."""


def rows_of(raster: Raster, rows: slice) -> Image.Image:
    """Rows as a Pillow image of mode RGB; read-only."""
    return raster.rows(rows) if isinstance(raster, PillowRaster) else Image.fromarray(raster[rows])


def strips(length: int, breadth: int) -> Iterator[slice]:
    """Divide ``length`` rows of ``breadth`` pixels into strips that fit into the cache."""
    step = max(1, _STRIP // breadth)
    return (slice(start, min(start + step, length)) for start in range(0, length, step))


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Suppress Pillow's warnings."""
    with _warnings_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _to_rgb(image: Image.Image, bits: int) -> Image.Image:
    if image.mode.startswith("I"):  # I;16, I;16B, I;16L, and I for some 16-bit files
        grey = np.asarray(image)
        samples = (grey >> (bits - 8)).astype(np.uint8)
        samples[grey == image.info.get("transparency")] = 255  # a colour key, as PNG has it
        return Image.fromarray(samples).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        return _on_white(np.asarray(image.convert("RGBA")))
    return image if image.mode == "RGB" else image.convert("RGB")


def _on_white(rgba: npt.NDArray[np.uint8]) -> Image.Image:
    alpha = rgba[:, :, 3:].astype(np.uint16)
    mixed = rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127  # at most 65,152
    return Image.fromarray((mixed // 255).astype(np.uint8))
