"""PNG files of every kind, most of which Pillow does not write."""

import struct
import zlib

import numpy as np

from helpers.raster import png

HEIGHT, WIDTH = 37, 29  # no multiple of a block, nor of a byte's samples
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16)}
DEPTHS[RGB_ALPHA] = (8, 16)
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
PNG_KINDS = [(colour, depth) for colour, depths in DEPTHS.items() for depth in depths]


def png_of_kind(colour, depth, *chunks):
    """A PNG of noise."""
    random = np.random.default_rng(colour * 100 + depth)
    length = -(-WIDTH * CHANNELS[colour] * depth // 8)
    rows = random.integers(0, 256, (HEIGHT, length), np.uint8)
    if colour == PALETTE:
        entries = np.random.default_rng(3).integers(0, 256, 3 * 2**depth, np.uint8)
        chunks = ((b"PLTE", entries.tobytes()), *chunks)
    # Filter 0 alone: libpng and Pillow undo the others alike on any image of a camera.
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    return png(WIDTH, HEIGHT, depth, colour, data, *chunks)


def interlaced(pixels):
    """An RGB PNG in Adam7's seven passes."""
    rows = []
    for y, x, step_y, step_x in [
        *((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)),
        *((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)),
    ]:
        part = pixels[y::step_y, x::step_x]
        rows += [b"\0" + row.tobytes() for row in part if row.size]
    file = bytearray(png(pixels.shape[1], pixels.shape[0], 8, RGB, b"".join(rows)))
    file[28] = 1  # the interlace method, last byte of IHDR
    file[29:33] = struct.pack(">I", zlib.crc32(file[12:29]))
    return bytes(file)
