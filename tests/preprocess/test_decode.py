"""One decoding policy: what pixels each kind of file gives."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from helpers import tiny
from helpers.raster import encoded, orientation, pattern, png
from lifeiqa.errors import ImageError
from lifeiqa.preprocess.decode import decode, size_in_header

LOSSLESS = [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True})]
# Stored rows and columns of an upright image, by the EXIF standard: orientation 6, for
# instance, stores the right-hand side as row 0 and the top as column 0.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


def test_pixels_of_an_rgb_file_are_returned_as_they_are():
    decoded = decode(encoded(pattern(), "PNG"))
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, pattern())


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
@pytest.mark.parametrize("value", STORED)
def test_every_exif_orientation_is_undone(kind, options, value):
    stored = np.ascontiguousarray(STORED[value](pattern()))
    data = encoded(stored, kind, exif=orientation(value), **options)
    np.testing.assert_array_equal(decode(data), pattern())
    np.testing.assert_array_equal(decode(Image.open(io.BytesIO(data))), pattern())


@pytest.mark.parametrize("value", STORED)
def test_jpeg_orientation_moves_pixels_and_changes_none(value):
    plain = decode(encoded(pattern(), "JPEG"))
    turned = decode(encoded(pattern(), "JPEG", exif=orientation(value)))
    np.testing.assert_array_equal(STORED[value](turned), plain)


@pytest.mark.parametrize("value", STORED)
def test_orientation_of_a_16_bit_tiff_is_undone(value):
    stored = np.ascontiguousarray(STORED[value](pattern()[:, :, 0].astype(np.uint16) << 8))
    decoded = decode(encoded(stored, "TIFF", exif=orientation(value)))
    np.testing.assert_array_equal(decoded[:, :, 0], pattern()[:, :, 0])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0no tiff header here",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x05",  # five tags are promised, none follows
        b"Exif\0\0II*\0\xff\xff\xff\xff",  # the tags lie beyond the end
        orientation(6).tobytes()[:20],
        orientation(0).tobytes(),
        orientation(9).tobytes(),
    ],
)
def test_an_unreadable_orientation_counts_as_upright(kind, exif):
    whole = decode(encoded(pattern(), kind))
    np.testing.assert_array_equal(decode(encoded(pattern(), kind, exif=exif)), whole)


SIXTEEN = np.array([[0, 255, 256, 4660], [32768, 40000, 65280, 65535]], np.uint16)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_of_16_bits_keeps_its_high_byte(kind):
    expected = np.repeat((SIXTEEN >> 8).astype(np.uint8)[:, :, np.newaxis], 3, axis=2)
    np.testing.assert_array_equal(decode(encoded(SIXTEEN, kind)), expected)
    np.testing.assert_array_equal(decode(Image.fromarray(SIXTEEN.astype(np.int32))), expected)


def test_colour_of_16_bits_keeps_its_high_byte():
    samples = np.array([0x0000, 0x00FF, 0x1234, 0x80FF, 0xFF00, 0xFFFF], ">u2")
    decoded = decode(png(2, 1, 16, 2, b"\0" + samples.tobytes()))
    assert decoded.ravel().tolist() == [0, 0, 0x12, 0x80, 0xFF, 0xFF]


def grey_tiff(bits, photometric, rows, form=1):
    """A TIFF of one row of two samples, without compression."""
    tags = {256: 2, 257: 1, 258: bits, 259: 1, 262: photometric, 273: 0, 277: 1, 278: 1}
    tags |= {273: 8 + 2 + 12 * 10 + 4, 279: len(rows), 339: form}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + rows


def test_grey_of_12_bits_keeps_its_highest_8():
    decoded = decode(grey_tiff(12, 1, bytes([0x12, 0x3F, 0xED])))  # samples 0x123 and 0xFED
    assert decoded[0].tolist() == [[0x12] * 3, [0xFE] * 3]


def test_signed_grey_of_8_bits_is_refused_for_pillow_takes_it_for_unsigned():
    with pytest.raises(ImageError, match="signed 8-bit samples"):
        decode(grey_tiff(8, 1, bytes(2), form=2))


def test_signed_grey_of_more_bits_is_read_where_it_is_not_negative():
    assert decode(grey_tiff(16, 1, struct.pack("<hh", 0x1234, 0), form=2))[0, 0, 0] == 0x12
    with pytest.raises(ImageError, match="from -1 to 4660"):
        decode(grey_tiff(16, 1, struct.pack("<hh", 0x1234, -1), form=2))


def test_deep_grey_whose_0_is_white_is_refused_for_pillow_does_not_invert_it():
    rows = struct.pack("<HH", 0x1200, 0xFE00)
    assert decode(grey_tiff(16, 1, rows))[0, :, 0].tolist() == [0x12, 0xFE]
    with pytest.raises(ImageError, match="0 is white"):
        decode(grey_tiff(16, 0, rows))
    assert decode(grey_tiff(8, 0, b"\x12\xfe"))[0, :, 0].tolist() == [0xED, 0x01]


@pytest.mark.parametrize("sample", [-1, 65536])
def test_grey_beyond_16_bits_is_refused_with_its_range(sample):
    image = Image.fromarray(np.array([[7, sample]], np.int32))
    with pytest.raises(ImageError, match=str(sample)):
        decode(image)


def test_floating_point_samples_are_refused():
    with pytest.raises(ImageError, match="floating-point"):
        decode(encoded(np.zeros((2, 2), np.float32), "TIFF"))


def on_white(colour, alpha):
    return [(c * alpha + 255 * (255 - alpha) + 127) // 255 for c in colour]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_alpha_is_composited_on_white(kind):
    rgba = pattern(64, 64, 4)
    expected = [on_white(map(int, pixel[:3]), int(pixel[3])) for pixel in rgba.reshape(-1, 4)]
    decoded = decode(encoded(rgba, kind))
    assert decoded.reshape(-1, 3).tolist() == expected


def test_alpha_of_grey_is_composited_on_white():
    decoded = decode(encoded(pattern(16, 16, 2), "PNG"))
    pixels = pattern(16, 16, 2).reshape(-1, 2).tolist()
    assert decoded.reshape(-1, 3).tolist() == [on_white([v] * 3, alpha) for v, alpha in pixels]


def test_alpha_of_a_palette_is_composited_on_white():
    palette, alphas = bytes(range(10, 19)), b"\x00\x80"  # the third colour is opaque
    data = png(3, 1, 8, 3, b"\0\x00\x01\x02", (b"PLTE", palette), (b"tRNS", alphas))
    expected = [[255] * 3, on_white([13, 14, 15], 0x80), [16, 17, 18]]
    assert decode(data)[0].tolist() == expected


@pytest.mark.parametrize(
    ("depth", "colour", "row", "key", "expected"),
    [
        (8, 2, bytes([1, 2, 3, 1, 2, 4]), (1, 2, 3), [[255] * 3, [1, 2, 4]]),
        (8, 0, bytes([5, 6]), (5,), [[255] * 3, [6] * 3]),
        (16, 0, bytes([9, 0, 9, 1]), (0x0900,), [[255] * 3, [9] * 3]),
    ],
)
def test_a_transparent_colour_key_becomes_white(depth, colour, row, key, expected):
    chunk = (b"tRNS", struct.pack(f">{len(key)}H", *key))
    assert decode(png(2, 1, depth, colour, b"\0" + row, chunk))[0].tolist() == expected


def test_cmyk_inks_become_light():
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255]]], np.uint8)
    expected = [[255, 255, 255], [0, 255, 255], [255, 255, 0], [0, 0, 0]]
    image = Image.frombytes("CMYK", (4, 1), inks.tobytes())
    assert decode(encoded(image, "TIFF"))[0].tolist() == expected
    coarse = decode(encoded(image.resize((64, 16), Image.Resampling.NEAREST), "JPEG", quality=95))
    assert np.abs(coarse[8, 8::16].astype(int) - expected).max() <= 8


def test_one_bit_is_black_and_white():
    decoded = decode(encoded(Image.fromarray(pattern()[:, :, 0] > 127), "PNG"))
    np.testing.assert_array_equal(decoded[:, :, 1], np.where(pattern()[:, :, 0] > 127, 255, 0))


def test_palette_colours_are_looked_up():
    image = Image.fromarray(pattern()).quantize(16)
    expected = np.array(image.getpalette()).reshape(-1, 3)[np.asarray(image)]
    np.testing.assert_array_equal(decode(encoded(image, "PNG")), expected)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG", "WEBP"])
def test_the_first_image_of_several_counts(kind):
    red, blue = (Image.new("RGB", (8, 6), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(red, kind, save_all=True, append_images=[blue], **options)
    assert (decode(data) == (255, 0, 0)).all()


def test_progressive_jpeg_gives_the_pixels_of_baseline():
    baseline, progressive = (encoded(pattern(), "JPEG", progressive=p) for p in (False, True))
    assert baseline != progressive
    np.testing.assert_array_equal(decode(progressive), decode(baseline))


def test_every_source_gives_identical_pixels(tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded(pattern(), "JPEG", exif=orientation(6)))
    expected = decode(path)
    loaded = Image.open(path)
    loaded.load()
    for source in (str(path), path.read_bytes(), Image.open(path), loaded, expected):
        np.testing.assert_array_equal(decode(source), expected)


def test_a_pillow_image_is_left_as_it_was():
    image = Image.open(io.BytesIO(encoded(pattern(), "PNG", exif=orientation(6))))
    info = dict(image.info)
    decode(image)
    assert (image.mode, image.size, image.info) == ("RGB", (24, 18), info)
    np.testing.assert_array_equal(np.asarray(image), pattern())
    image.close()


def test_a_pillow_image_stays_open_and_its_current_frame_counts(tmp_path):
    path = tmp_path / "animation.gif"
    colours = ("red", "lime", "blue")
    red, *others = (Image.new("RGB", (8, 6), colour) for colour in colours)
    path.write_bytes(encoded(red, "GIF", save_all=True, append_images=others))
    with Image.open(path) as image:
        for frame, expected in enumerate([(255, 0, 0), (0, 255, 0), (0, 0, 255)]):
            image.seek(frame)
            assert (decode(image) == expected).all()


def test_an_array_is_checked_and_returned():
    array = pattern()
    assert decode(array) is array
    mirrored = decode(array[:, ::-1])
    assert mirrored.flags.c_contiguous
    np.testing.assert_array_equal(mirrored, array[:, ::-1])


def test_the_size_in_the_header_is_that_of_the_stored_image(tmp_path):
    path = tiny.write_image(tmp_path / "grey.png", size=(40, 36))

    assert size_in_header(path) == (40, 36)
    assert size_in_header(path.read_bytes()) == (40, 36)


def test_the_header_of_what_is_no_image_is_an_image_error(tmp_path):
    path = tmp_path / "diary.png"
    path.write_text("dear diary")

    with pytest.raises(ImageError, match="not an image in a supported format"):
        size_in_header(path)
    with pytest.raises(ImageError, match="No such file"):
        size_in_header(tmp_path / "lost.png")


def test_a_header_may_tell_too_large_a_size(tmp_path):
    path = tiny.write_image(tmp_path / "grey.png", size=(40, 36))

    with pytest.raises(ImageError, match="40x36 has more than 1,439 pixels"):
        size_in_header(path, max_pixels=1439)
