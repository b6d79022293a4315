"""Files that are damaged, hostile, too large or no images: an ImageError, never pixels."""

import importlib.util
import io
import os
import socket
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, features

from helpers.raster import encoded, jpeg_of_scans, orientation, pattern, png
from lifeiqa.errors import ImageError
from lifeiqa.preprocess import decode as decode_module
from lifeiqa.preprocess.decode import FORMATS, MAX_PIXELS, decode

PHOTOGRAPHS = Path(importlib.util.find_spec("skimage").origin).parent / "data"
RASTERS = sorted(
    path for kind in ("*.png", "*.jpg", "*.gif", "multipage.tif") for path in PHOTOGRAPHS.glob(kind)
)
ENCODINGS = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("BMP", {}),
    ("PPM", {}),
    ("GIF", {}),
]


def needs(feature):
    return pytest.mark.skipif(not features.check(feature), reason=f"Pillow without {feature}")


@pytest.mark.parametrize(("kind", "options"), ENCODINGS)
def test_a_truncated_file_is_refused_by_name(kind, options, tmp_path):
    data = encoded(pattern(), kind, **options)
    path = tmp_path / f"cut.{kind.lower()}"
    for length in range(1, int(0.95 * len(data)), len(data) // 60):
        path.write_bytes(data[:length])
        with pytest.raises(ImageError) as refused:
            decode(path)
        assert str(path) in str(refused.value), length


@pytest.mark.parametrize(("kind", "options"), ENCODINGS)
def test_a_file_without_its_last_bytes_is_refused_or_has_every_pixel(kind, options):
    data = encoded(pattern(), kind, **options)
    for missing in range(1, 40):
        try:
            decoded = decode(data[:-missing])
        except ImageError:
            continue
        np.testing.assert_array_equal(decoded, decode(data), err_msg=f"{missing} bytes missing")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.95, 0.9999])
def test_a_truncated_photograph_is_refused(share):
    data = (PHOTOGRAPHS / "rocket.jpg").read_bytes()
    with pytest.raises(ImageError):
        decode(data[: int(share * len(data))])


def test_a_png_whose_checksum_is_wrong_is_refused_up_to_its_last_pixel():
    whole = encoded(pattern(), "PNG")
    sum_of_pixels, sum_of_end = len(whole) - 16, len(whole) - 4

    def changed(at):
        return decode(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])

    with pytest.raises(ImageError, match=r"bytes>: damaged: the checksum of its chunk b'IDAT'"):
        changed(sum_of_pixels)
    np.testing.assert_array_equal(changed(sum_of_end), pattern())


@needs("jpg_2000")
def test_jpeg_2000_is_refused_since_its_decoder_hides_truncation():
    with pytest.raises(ImageError, match="not an image in a supported format"):
        decode(encoded(pattern(), "JPEG2000"))


@needs("avif")
def test_a_truncated_avif_is_refused():
    data = encoded(pattern(), "AVIF")
    for length in range(0, len(data), 7):
        with pytest.raises(ImageError):
            decode(data[:length])


@pytest.mark.parametrize("content", [b"", b"a text, not an image\n", b"\xff\xd8\xff", b"\0" * 999])
def test_what_is_no_image_is_refused_by_name(content, tmp_path):
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"image\.jpg"):
        decode(path)
    with pytest.raises(ImageError, match=f"<{len(content)} bytes>"):
        decode(content)


def test_a_folder_and_a_missing_file_are_refused_by_name(tmp_path):
    with pytest.raises(ImageError, match=f"{tmp_path.name}: Is a directory"):
        decode(tmp_path)
    with pytest.raises(ImageError, match=r"absent\.png: No such file"):
        decode(tmp_path / "absent.png")


def test_pipes_devices_and_sockets_are_refused_at_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (pipe, tmp_path / "socket", Path("/dev/zero"), Path("/dev/null")):
            with pytest.raises(ImageError, match=f"{path}: a pipe, a socket or a device"):
                decode(path)


@pytest.mark.parametrize("kind", ["EPS", "ICO", "PDF", "TGA", "PCX"])
def test_other_decoders_of_pillow_are_never_tried(kind, tmp_path):
    path = tmp_path / "disguised.png"
    path.write_bytes(encoded(pattern(), kind))
    assert kind not in FORMATS
    with pytest.raises(ImageError, match=r"disguised\.png: not an image in a supported format"):
        decode(path)


@pytest.mark.parametrize(("width", "height"), [(20000, 20000), (12000, 12000), (2**31 - 1, 1)])
def test_the_size_in_the_header_is_refused_before_any_pixel(width, height, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png(width, height, 8, 2, b""))
    with pytest.raises(ImageError, match=rf"bomb\.png: .*({width}x{height}|{width * height})"):
        decode(path)


@pytest.mark.parametrize("colours", [1, 3])
def test_a_jpeg_of_many_scans_is_refused(colours):
    image = Image.fromarray(pattern().squeeze() if colours == 3 else pattern()[:, :, 0])
    usual = decode(encoded(image, "JPEG", progressive=True))
    np.testing.assert_array_equal(decode(jpeg_of_scans(image, 100)).shape, usual.shape)
    with pytest.raises(ImageError, match="bytes>: more than 100 scans"):
        decode(jpeg_of_scans(image, 101))


def test_marks_of_scans_in_metadata_and_behind_the_image_do_not_count():
    data = encoded(pattern(), "JPEG", progressive=True, comment=b"\xff\xda" * 200)
    expected = decode(encoded(pattern(), "JPEG", progressive=True))
    np.testing.assert_array_equal(decode(data + b"\xff\xda" * 200), expected)


@pytest.mark.parametrize("name", [b"iCCP", b"zTXt", b"iTXt"])
def test_a_png_whose_metadata_unpacks_to_too_much_is_refused(name):
    prefix = {b"iCCP": b"x\0\0", b"zTXt": b"x\0\0", b"iTXt": b"x\0\1\0\0\0"}[name]
    bomb = (name, prefix + zlib.compress(bytes(20 << 20)))
    with pytest.raises(ImageError, match="Decompressed data too large"):
        decode(png(1, 1, 8, 2, bytes(4), bomb))


def test_a_png_that_is_called_an_animation_behind_its_pixels_is_decoded_in_silence():
    """Found by fuzzing: Pillow warns amid decoding, which a program may have made an error."""
    whole, end = encoded(pattern(), "PNG"), 12
    control = b"acTL" + bytes(8)
    chunk = struct.pack(">I", 8) + control + struct.pack(">I", zlib.crc32(control))

    np.testing.assert_array_equal(decode(whole[:-end] + chunk + whole[-end:]), pattern())


@pytest.mark.parametrize(
    ("kind", "place", "size"),
    [
        ("GIF", 6, struct.pack("<HH", 65535, 65535)),
        ("BMP", 18, struct.pack("<ii", 24, -(2**31))),
        ("BMP", 18, struct.pack("<ii", -24, 18)),
        ("BMP", 18, struct.pack("<ii", 0, 0)),
        ("BMP", 14, struct.pack("<I", 2**31)),
        ("BMP", 10, struct.pack("<I", 2**32 - 1)),
    ],
)
def test_a_silly_header_is_refused(kind, place, size):
    data = encoded(pattern(), kind)
    with pytest.raises(ImageError):
        decode(data[:place] + size + data[place + len(size) :])


@needs("avif")
def test_a_large_canvas_of_an_avif_is_refused_by_its_header():
    data = encoded(pattern(), "AVIF")
    place = data.index(b"ispe") + 8
    with pytest.raises(ImageError):
        decode(data[:place] + struct.pack(">II", 50000, 50000) + data[place + 8 :])


def test_the_first_of_many_pages_is_read_and_not_the_others():
    image = Image.fromarray(pattern())
    data = encoded(image, "TIFF", save_all=True, append_images=[image] * 300)
    np.testing.assert_array_equal(decode(data), pattern())


def test_what_libtiff_says_of_a_damaged_file_is_not_printed(capfd):
    data = bytearray(encoded(pattern(), "TIFF", compression="tiff_lzw"))
    data[8:40] = bytes(255 - byte for byte in data[8:40])
    with pytest.raises(ImageError):
        decode(bytes(data))
    assert capfd.readouterr() == ("", "")


def test_the_limit_counts_pixels_and_may_be_changed():
    data = encoded(pattern(), "PNG")
    assert decode(data, max_pixels=18 * 24).shape == (18, 24, 3)
    with pytest.raises(ImageError, match="24x18 has more than 431 pixels"):
        decode(data, max_pixels=18 * 24 - 1)


def test_a_pillow_image_above_the_limit_is_not_loaded():
    image = Image.open(io.BytesIO(encoded(pattern(), "PNG")))
    with pytest.raises(ImageError, match="more than 1 pixels"):
        decode(image, max_pixels=1)
    assert image.tile, "its pixels were decoded"


@pytest.mark.parametrize(("kind", "options"), ENCODINGS)
def test_sizes_that_pillow_warns_about_are_decoded_in_silence(kind, options, monkeypatch):
    assert MAX_PIXELS > Image.MAX_IMAGE_PIXELS
    data = encoded(pattern(), kind, exif=orientation(6), **options)
    expected, opened = decode(data), Image.open(io.BytesIO(data))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # between half of the image and all
    np.testing.assert_array_equal(decode(data), expected)
    np.testing.assert_array_equal(decode(opened), expected)


def test_a_process_that_loads_truncated_files_gets_no_pixels(monkeypatch):
    data = encoded(pattern(), "PNG")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ImageError, match="LOAD_TRUNCATED_IMAGES"):
        decode(data)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((), np.uint8),
    ],
)
def test_arrays_of_another_kind_are_refused_with_their_kind(array):
    with pytest.raises(ImageError) as refused:
        decode(array)
    assert f"array of {array.dtype} {array.shape}" in str(refused.value)


def test_threads_give_the_pixels_that_one_thread_gives():
    files = [encoded(pattern(60, 80), kind, **options) for kind, options in ENCODINGS]
    expected = [decode(data) for data in files]
    with ThreadPoolExecutor(4) as threads:
        decoded = list(threads.map(decode, files * 8))
    for got, wanted in zip(decoded, expected * 8, strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("path", RASTERS, ids=lambda path: path.name)
def test_real_photographs_are_decoded(path):
    decoded = decode(path)
    assert decoded.dtype == np.uint8
    with Image.open(path) as image:
        assert decoded.shape == (image.height, image.width, 3)


def test_a_tiff_of_32_bit_samples_is_refused():
    """They were taken for 16 bits: an image of 0 to 255 was all but black."""
    levels = Image.fromarray(np.arange(48, dtype=np.int32).reshape(6, 8))
    with pytest.raises(ImageError, match="32-bit samples"):
        decode(encoded(levels, "TIFF"))


def test_memory_that_runs_out_is_an_error_that_says_so(monkeypatch):
    def greedy(opened):
        raise MemoryError

    monkeypatch.setattr(decode_module, "_load", greedy)
    with pytest.raises(ImageError, match="bytes>: out of memory while decoding"):
        decode(encoded(pattern(), "PNG"))


def test_a_tiff_of_64_bit_samples_is_refused():
    path = PHOTOGRAPHS / "multipage_rgb.tif"
    with pytest.raises(ImageError, match=r"multipage_rgb\.tif"):
        decode(path)


def test_a_tiff_without_rows_in_a_strip_is_refused_as_a_file_too(tmp_path):
    """Found by fuzzing: Pillow mapped the file, and gave its pixels, where it refused the bytes."""
    grey = Image.fromarray((np.arange(9 * 13, dtype=np.uint16) * 500).reshape(9, 13))
    stream = io.BytesIO()
    grey.save(stream, "TIFF")
    rows_per_strip = struct.pack("<HHI", 278, 4, 1)  # the tag, its type, one value
    place = stream.getvalue().index(rows_per_strip) + len(rows_per_strip)
    data = stream.getvalue()[:place] + bytes(4) + stream.getvalue()[place + 4 :]
    path = tmp_path / "strips.tif"
    path.write_bytes(data)

    for source in (data, path):
        with pytest.raises(ImageError, match="tile cannot extend outside image"):
            decode(source)
