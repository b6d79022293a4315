"""The C++ library decodes the same pixels as lifeiqa.preprocess.decode, byte for byte."""

import resource
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from helpers.c_interface import CError, Failure, failure_of
from helpers.painting import painted
from helpers.pngs import (
    DEPTHS,
    GREY,
    HEIGHT,
    PALETTE,
    PNG_KINDS,
    RGB,
    RGB_ALPHA,
    WIDTH,
    interlaced,
    png_of_kind,
)
from helpers.raster import encoded, jpeg_of_scans, orientation, png
from lifeiqa.errors import ImageError
from lifeiqa.preprocess.decode import decode
from lifeiqa_export.photographs import photographs

XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation{}/></x:xmpmeta>'


def assert_same(library, data):
    np.testing.assert_array_equal(library.decode(data), decode(data))


def jpeg(image=None, **options):
    return encoded(painted(HEIGHT, WIDTH) if image is None else image, "JPEG", **options)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [30, 95])
def test_jpeg(library, subsampling, progressive, quality):
    assert_same(library, jpeg(subsampling=subsampling, progressive=progressive, quality=quality))


@pytest.mark.parametrize("mode", ["L", "CMYK", "YCbCr"])
def test_jpeg_of_other_colour_modes(library, mode):
    image = Image.fromarray(painted(HEIGHT, WIDTH)).convert(mode)
    assert_same(library, jpeg(image))
    assert_same(library, jpeg(image, progressive=True))


def test_jpeg_that_stores_rgb(library):
    assert_same(library, jpeg(keep_rgb=True))


@pytest.mark.parametrize("restart", [{"restart_marker_blocks": 2}, {"restart_marker_rows": 1}])
def test_jpeg_with_restart_markers(library, restart):
    assert_same(library, jpeg(**restart))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_of_many_scans(library, mode):
    image = Image.fromarray(painted(HEIGHT, WIDTH)).convert(mode)
    assert_same(library, jpeg_of_scans(image, 100))
    bomb = jpeg_of_scans(image, 101)
    ours, theirs = failure_of(library.decode, bomb), failure_of(decode, bomb)
    assert ours == theirs
    assert ours.kind == "ImageError"
    assert "100" in ours.values


@pytest.mark.parametrize(("colour", "depth"), PNG_KINDS)
def test_png(library, colour, depth):
    assert_same(library, png_of_kind(colour, depth))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("key", [0, 1, 3, 200, 40000])
def test_png_with_a_grey_key(library, depth, key):
    assert_same(library, png_of_kind(GREY, depth, (b"tRNS", struct.pack(">H", key % 2**depth))))


@pytest.mark.parametrize("depth", [8, 16])
def test_png_with_a_colour_key(library, depth):
    first = decode(png_of_kind(RGB, depth))[0, 0]
    for scale in (1, 256, 257):
        key = struct.pack(">HHH", *(int(sample) * scale % 2**depth for sample in first))
        assert_same(library, png_of_kind(RGB, depth, (b"tRNS", key)))


@pytest.mark.parametrize("depth", DEPTHS[PALETTE])
@pytest.mark.parametrize("alphas", [b"\0", b"\xff\0", b"\x80", bytes(range(0, 256, 2))])
def test_png_with_a_palette_of_alphas(library, depth, alphas):
    assert_same(library, png_of_kind(PALETTE, depth, (b"tRNS", alphas[: 2**depth])))


def test_png_with_a_short_palette(library):
    rows = b"".join(b"\0" + bytes(range(WIDTH)) for _ in range(HEIGHT))
    assert_same(library, png(WIDTH, HEIGHT, 8, PALETTE, rows, (b"PLTE", bytes(range(90)))))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_png_written_by_pillow(library, mode):
    image = Image.fromarray(painted(HEIGHT, WIDTH))
    image = (
        image.convert("L").convert("I").point(lambda v: v * 257).convert("I;16")
        if mode == "I;16"
        else image.convert(mode)
    )
    assert_same(library, encoded(image, "PNG"))
    assert_same(library, encoded(image, "PNG", optimize=True))


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (8, 8), (37, 29)])
def test_interlaced_png(library, size):
    pixels = painted(*size)
    np.testing.assert_array_equal(decode(interlaced(pixels)), pixels)
    assert_same(library, interlaced(pixels))


@pytest.mark.parametrize("value", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_orientation(library, value, kind):
    data = encoded(painted(HEIGHT, WIDTH), kind, exif=orientation(value))
    assert_same(library, data)
    assert library.decode(data).shape[:2] == ((29, 37) if 5 <= value <= 8 else (37, 29))


def tiff(order, kind, count, value, tag=0x0112):
    """EXIF data with one entry."""
    entry = struct.pack(order + "HHI", tag, kind, count) + value
    header = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    return b"Exif\0\0" + header + struct.pack(order + "H", 1) + entry + bytes(4)


@pytest.mark.parametrize(
    "exif",
    [
        *(tiff(order, 3, 1, struct.pack(order + "Hxx", 6)) for order in "<>"),
        *(tiff(order, 4, 1, struct.pack(order + "I", 8)) for order in "<>"),
        tiff("<", 3, 2, struct.pack("<HH", 5, 7)),
        tiff("<", 3, 9, struct.pack("<I", 8) + bytes(40)),
        tiff("<", 2, 1, b"6\0\0\0"),
        tiff("<", 1, 1, b"\6\0\0\0"),
        tiff("<", 3, 0, b"\6\0\0\0"),
        tiff("<", 3, 1, b"\6\0\0\0", tag=0x0113),
        tiff("<", 3, 1, b"\6\0\0\0")[:20],
        b"Exif\0\0XX*\0\10\0\0\0",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
    ],
)
def test_orientation_in_odd_exif(library, exif):
    assert_same(library, encoded(painted(HEIGHT, WIDTH), "JPEG", exif=exif))
    assert_same(library, encoded(painted(HEIGHT, WIDTH), "PNG", exif=exif))


@pytest.mark.parametrize("text", ['="6"', ">8<", '="0"', '="9"', "='6'", ""])
def test_orientation_in_xmp(library, text):
    xmp = XMP.format(text).encode()
    assert_same(library, encoded(painted(HEIGHT, WIDTH), "JPEG", xmp=xmp))
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=True)
    assert_same(library, encoded(painted(HEIGHT, WIDTH), "PNG", pnginfo=info))


def test_orientation_as_imagemagick_stores_it(library):
    exif = tiff("<", 3, 1, b"\6\0\0\0").hex()
    lines = [exif[at : at + 72] for at in range(0, len(exif), 72)]
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", "\n".join(["", "exif", "     32", *lines, ""]), zip=True)
    data = encoded(painted(HEIGHT, WIDTH), "PNG", pnginfo=info)
    assert_same(library, data)
    assert library.decode(data).shape[:2] == (WIDTH, HEIGHT)


def test_real_photographs(library, tmp_path):
    for path in photographs():
        assert_same(library, path.read_bytes())
        pixels = Image.fromarray(decode(path))
        assert_same(
            library, encoded(pixels, "JPEG", quality=85, subsampling="4:2:0", progressive=True)
        )


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except (CError, ImageError):
        return None


FILES = {
    "baseline": jpeg(restart_marker_rows=1),
    "progressive": jpeg(progressive=True),
    "png": png_of_kind(RGB, 8),
    "interlaced": interlaced(painted(HEIGHT, WIDTH)),
}


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_an_error_if_it_is_one_in_python(library, name):
    data = FILES[name]
    for end in [*range(0, len(data), 7), *range(len(data) - 30, len(data))]:
        ours, theirs = outcome(library.decode, data[:end]), outcome(decode, data[:end])
        if ours is None:
            assert theirs is None, end
        else:
            np.testing.assert_array_equal(ours, theirs)


def test_an_error_names_the_image_and_the_size(library):
    data = jpeg()
    theirs = failure_of(lambda: decode(data, max_pixels=1000))
    assert failure_of(library.decode, data, None, 1000) == theirs

    named = failure_of(library.decode, data, "a.jpg", 1000)
    assert named.message.startswith("a.jpg: ")
    assert named == Failure.of(ImageError(theirs.message.replace(f"<{len(data)} bytes>", "a.jpg")))


def test_the_size_is_checked_before_memory_is_allocated(library):
    header = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, RGB_ALPHA, 0, 0, 0)
    chunk = b"IHDR" + header
    data = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )
    data += struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
    failure = failure_of(library.decode, data)
    assert failure.kind == "ImageError"
    assert {"2147483647x2147483647", "128,000,000"} <= failure.values
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8\xff", b"GIF89a", b"\x89PNG\r\n\x1a\n", bytes(99)]
)
def test_data_that_is_not_an_image_is_an_image_error(library, data):
    failure = failure_of(library.decode, data, "nonsense")
    assert failure.kind == "ImageError"
    assert failure.message.startswith("nonsense: ")


@pytest.mark.parametrize("at", [30, 45, -14])
def test_a_png_with_a_wrong_checksum_is_an_error(library, at):
    data = bytearray(png_of_kind(RGB, 8))
    data[at] ^= 1
    assert outcome(library.decode, bytes(data)) is outcome(decode, bytes(data)) is None


def test_two_components_are_refused(library):
    data = bytearray(jpeg(Image.fromarray(painted(16, 16)).convert("L")))
    frame = data.index(b"\xff\xc0")
    data[frame + 9] = 2
    data[frame + 2 : frame + 4] = struct.pack(">H", 14)
    data[frame + 13 : frame + 13] = data[frame + 10 : frame + 13]
    assert outcome(library.decode, bytes(data)) is outcome(decode, bytes(data)) is None
