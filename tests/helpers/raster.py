"""Small images, and the files that hold them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def pattern(height=18, width=24, channels=3):
    """Noise without any symmetry."""
    values = np.random.default_rng(7).integers(0, 256, (height, width, channels))
    return values.astype(np.uint8)


def encoded(image, kind, **options):
    """The bytes of a file of Pillow's format `kind`, from an array or a Pillow image."""
    stream = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(stream, kind, **options)
    return stream.getvalue()


def orientation(value):
    """EXIF with this orientation alone."""
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def png(width, height, depth, colour, rows, *chunks):
    """A PNG file from its raw rows, each of which starts with a filter byte."""
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    parts = [header, *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    framed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def jpeg_of_scans(image, scans):
    """A progressive JPEG whose last scan is repeated until there are so many."""
    whole = encoded(image, "JPEG", progressive=True)
    starts = [place for place in range(len(whole)) if whole[place : place + 2] == b"\xff\xda"]
    last, end = whole[starts[-1] : -2], whole[-2:]
    return whole[:-2] + last * (scans - len(starts)) + end
