"""Damage in a JPEG or PNG file that Pillow ignores and `lifeiqa.preprocess.decode` refuses."""

from __future__ import annotations

import os
import re
import zlib
from typing import IO

MAX_SCANS = 100
"""Most scans of a JPEG that are decoded. Encoders write up to about twenty. A scan of a few bytes
may take as long to decode as the whole image."""

_BLOCK = 1 << 20
# Neither a stuffed zero, a restart nor a fill byte.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_NO_LENGTH = (0x01, 0xD8)
_SEQUENTIAL_FRAMES = (0xC0, 0xC1, 0xC9)
_END, _SCAN = 0xD9, 0xDA


def require_few_scans(file: IO[bytes]) -> None:
    """Refuse a JPEG of more than `MAX_SCANS` scans. The file keeps its position.

    Raises:
        ValueError: it has more.
    """
    at = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(at)
    components, scans, place = b"", 0, 2
    while found := _JPEG_MARKER.search(data, place):
        kind, place = data[found.end() - 1], found.end()
        if kind == _END:
            return
        if kind in _SEQUENTIAL_FRAMES:
            components = data[place + 7 : place + 8]
        elif kind == _SCAN:
            scans += 1
            if scans == 1 and data[place + 2 : place + 3] == components:
                return  # the scan holds all components, and libjpeg reads none after it
            if scans > MAX_SCANS:
                raise ValueError(f"more than {MAX_SCANS} scans; save it again")
        if kind not in _NO_LENGTH:
            place += int.from_bytes(data[place : place + 2], "big")


def require_checksums(file: IO[bytes]) -> None:
    """Refuse a PNG with a wrong checksum in a critical chunk. The file keeps its position.

    Chunks after the pixels, and ancillary chunks, are not checked.

    Raises:
        ValueError: a checksum is wrong or the file ends before its pixels do.
    """
    at = file.tell()
    file.seek(8)
    inside = False
    while True:
        header = file.read(8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:]
        if inside and kind != b"IDAT":
            break
        actual = zlib.crc32(kind)
        while block := file.read(min(length, _BLOCK)):
            actual = zlib.crc32(block, actual)
            length -= len(block)
        stated = file.read(4)
        if len(stated) < 4:
            raise ValueError("image file is truncated")
        if kind[:1].isupper() and actual != int.from_bytes(stated, "big"):
            raise ValueError(f"damaged: the checksum of its chunk {kind!r} is wrong")
        inside = kind == b"IDAT"
    file.seek(at)


def is_animated_late(file: IO[bytes]) -> bool:
    """Whether a PNG has an animation chunk after its pixels. The file keeps its position.

    The chunk means nothing there, but Pillow warns about it while it decodes.
    """
    at = file.tell()
    file.seek(8)
    behind = False
    while len(header := file.read(8)) == 8:
        behind |= header[4:] == b"IDAT"
        if behind and header[4:] == b"acTL":
            break
        file.seek(int.from_bytes(header[:4], "big") + 4, os.SEEK_CUR)
    file.seek(at)
    return len(header) == 8
