"""Fuzz decoding and cutting: crops of the right shape and type, or an ImageError, nothing else.

A warning of Pillow's counts as something else.

As long as one likes, from the root of the repository, with a folder that keeps what is found:

    PYTHONPATH=.:tests python tests/fuzz/fuzz_decode.py CORPUS -timeout=5 -rss_limit_mb=1024

`tests/fuzz/test_decode.py` does so for some seconds. Coverage is that of Python alone, so that a
mutation keeps what a decoder checks first: the checksums of a PNG and its compressed rows.
"""

import io
import random
import struct
import sys
import tempfile
import warnings
import zlib
from pathlib import Path

import atheris
import numpy as np

with atheris.instrument_imports(include=["lifeiqa", "PIL"]):
    from PIL import Image

    from lifeiqa.config import Preprocessing
    from lifeiqa.errors import ImageError
    from lifeiqa.preprocess.pipeline import cut

from helpers.pngs import PNG_KINDS, interlaced, png_of_kind
from helpers.raster import encoded, orientation, pattern

SIZE = 16
MAX_PIXELS = 1 << 20
FEED = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3, short_side=SIZE, crops="five")
SIGNATURE = b"\x89PNG\r\n\x1a\n"
EDGES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 31, 32, 127, 128, 254, 255, 0x7FFF, 0x8000, 0xFFFF)
EDGES += (0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def seeds():
    """Small files of every format, and of their kinds."""
    image = Image.fromarray(pattern(9, 13))
    rgba = Image.fromarray(pattern(9, 13, 4))
    deep = Image.fromarray((np.arange(9 * 13, dtype=np.uint16) * 500).reshape(9, 13))
    frames = {"save_all": True, "append_images": [image.transpose(1)]}
    turned = {"exif": orientation(6)}
    yield from (png_of_kind(*kind) for kind in PNG_KINDS)
    yield interlaced(pattern(9, 13))
    for options in ({}, turned, {"progressive": True}, {"restart_marker_blocks": 1}):
        yield encoded(image, "JPEG", **options)
        yield encoded(image.convert("CMYK"), "JPEG", **options)
        yield encoded(image.convert("L"), "JPEG", **options)
    yield encoded(image, "PNG", **frames)
    for kind in ("GIF", "WEBP", "AVIF"):
        if kind in Image.SAVE:
            yield encoded(image, kind)
            yield encoded(image, kind, **frames)
            yield encoded(rgba, kind)
    for each in (image, rgba, image.convert("L"), image.convert("1"), image.quantize(16)):
        yield encoded(each, "BMP")
    for each in (image, image.convert("L"), image.convert("1"), deep):
        yield encoded(each, "PPM")
    yield b"P3 2 1 255 1 2 3 4 5 6\n"
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        yield encoded(image, "TIFF", compression=compression, **turned)
    for each in (rgba, deep, image.convert("LAB"), image.convert("YCbCr"), image.quantize(16)):
        yield encoded(each, "TIFF")
    yield encoded(image.convert("1"), "TIFF", compression="group4")


def mutated(data, most, seed):
    """Another file, near to this one."""
    chance = random.Random(seed)
    chunks = _chunks(data) if data.startswith(SIGNATURE) and chance.random() < 0.9 else None
    if chunks is None:
        return _mutated_bytes(data, most, chance)
    place = chance.randrange(len(chunks))
    name, body = chunks[place]
    action = chance.random()
    if action < 0.1:
        del chunks[place]
    elif action < 0.2:
        chunks.insert(chance.randrange(len(chunks)), chunks[place])
    elif name == b"IDAT" and action < 0.6:
        with_rows = zlib.compress(_mutated_bytes(_inflated(body), most, chance))
        chunks[place] = name, with_rows
    elif action < 0.65:
        chunks[place] = chance.choice((b"tRNS", b"PLTE", b"acTL", b"fcTL", b"iCCP", b"eXIf")), body
    else:
        chunks[place] = name, _mutated_bytes(body, most, chance)
    whole = SIGNATURE + b"".join(_framed(*chunk) for chunk in chunks)
    return whole if len(whole) <= most else _mutated_bytes(data, most, chance)


def _mutated_bytes(data, most, chance):
    if len(data) < 4 or chance.random() < 0.5:
        return bytes(atheris.Mutate(data, most))
    # A number of a header, in either order of bytes; most headers stand in front.
    form = chance.choice(("B", ">H", "<H", ">I", "<I"))
    width = struct.calcsize(form)
    end = min(len(data), chance.choice((32, 128, 1 << 20))) - width
    place = chance.randrange(max(1, end))
    value = chance.choice(EDGES) % 256**width
    return data[:place] + struct.pack(form, value) + data[place + width :]


def _chunks(data):
    chunks, place = [], len(SIGNATURE)
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += length + 12
    return chunks or None


def _framed(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _inflated(body):
    try:
        return zlib.decompressobj().decompress(body, 1 << 16)
    except zlib.error:
        return body


def outcome(source):
    """What becomes of a source: its crops, size and thumbnail, or None for an ImageError."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = cut(source, FEED, SIZE, max_pixels=MAX_PIXELS, thumbnail=True)
        except ImageError:
            return None
        finally:
            assert said == [], said[0].message
    assert found.crops.shape == (5, SIZE, SIZE, 3)
    assert found.crops.dtype == np.uint8
    assert 0 < found.width * found.height <= MAX_PIXELS
    assert max(Image.open(io.BytesIO(found.thumbnail)).size) <= 128
    return found.crops.tobytes(), found.width, found.height


def check(data, path):
    """The property, for the bytes of a file and for the file."""
    path.write_bytes(data)
    assert outcome(data) == outcome(path), "the bytes and the file give different crops"


def main():
    corpus = Path(sys.argv[1])
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (corpus / f"seed{number}").write_bytes(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        atheris.Setup(sys.argv, lambda data: check(data, path), custom_mutator=mutated)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
