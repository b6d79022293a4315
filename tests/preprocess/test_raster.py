"""Rows made as they are asked for are those of the whole image, and take little memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.painting import painted
from helpers.raster import encoded, orientation
from lifeiqa.config import Preprocessing
from lifeiqa.errors import ImageError
from lifeiqa.preprocess import raster as raster_module
from lifeiqa.preprocess.crops import crops_from_pixels
from lifeiqa.preprocess.decode import decode, load
from lifeiqa.preprocess.raster import PillowRaster, strips

MODES = ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"]
MODES += ["I", "I;16"]
# Upright from stored pixels, by the EXIF standard.
UPRIGHT = {
    None: lambda stored: stored,
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored),
    9: lambda stored: stored,
    "6": lambda stored: stored,
}


def image_of(mode):
    """An image of odd sides in this mode, with transparency where the mode has it."""
    colours = painted(23, 17)
    if mode.startswith("I"):
        grey = colours[:, :, 0].astype(np.uint16) * 257
        return Image.fromarray(grey.astype(np.int32) if mode == "I" else grey)
    image = Image.fromarray(np.dstack([colours, colours[::-1, :, 1]]))
    by = {"PA": "P", "RGBX": "RGB", "HSV": "RGB", "LAB": "RGB", "RGBa": "RGBA"}.get(mode, mode)
    return (image.convert("RGB") if by not in ("RGBA", "LA") else image).convert(by).convert(mode)


def plain(image):
    """The policy of lifeiqa.preprocess.decode for a whole image."""
    if image.mode.startswith("I"):
        return np.dstack([(np.asarray(image).astype(int) >> 8).astype(np.uint8)] * 3)
    if image.mode in ("LA", "PA", "RGBA", "RGBa"):
        rgba = np.asarray(image.convert("RGBA")).astype(int)
        alpha = rgba[:, :, 3:]
        return ((rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.asarray(image.convert("RGB"))


@pytest.fixture(params=[1, 17, 40, 1000], ids="strips of {} pixels".format)
def strip(request, monkeypatch):
    monkeypatch.setattr(raster_module, "_STRIP", request.param)


@pytest.mark.parametrize("value", UPRIGHT, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_strips_make_the_whole_image(mode, value, strip):
    image = image_of(mode)
    found = PillowRaster(image, value)
    expected = UPRIGHT[value](plain(image))

    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.pixels(), expected)
    np.testing.assert_array_equal(found[3:8], expected[3:8])
    np.testing.assert_array_equal(found[10:], expected[10:])
    for part in ((slice(3, 8), slice(2, 9)), (slice(0, 17), slice(9, None)), (slice(5), slice(7))):
        np.testing.assert_array_equal(found[part], expected[part])


@pytest.mark.parametrize("value", [None, 3, 6, 7])
@pytest.mark.parametrize("short_side", [None, 15, 11])
@pytest.mark.parametrize("plan", ["grid:3", "cover"])
def test_crops_of_an_image_are_those_of_its_pixels(value, short_side, plan, strip):
    half = (0.5, 0.5, 0.5)
    feed = Preprocessing(mean=half, std=half, short_side=short_side, crops=plan)
    found = PillowRaster(image_of("CMYK"), value)
    for size in (11, 30) if short_side is None else (11,):
        cut = crops_from_pixels(found, feed, size)
        np.testing.assert_array_equal(cut, crops_from_pixels(found.pixels(), feed, size))


def test_strips_cover_every_row_once(monkeypatch):
    monkeypatch.setattr(raster_module, "_STRIP", 20)
    assert [list(range(7))[rows] for rows in strips(7, 9)] == [[0, 1], [2, 3], [4, 5], [6]]
    assert len(list(strips(7, 21))) == 7  # a row that is longer than a strip is one


def test_the_range_of_grey_is_that_of_the_whole_image():
    grey = np.zeros((9, 9), np.int32)
    grey[8, 8] = 65536
    with pytest.raises(ImageError, match="samples run from 0 to 65536"):
        PillowRaster(Image.fromarray(grey))


def test_a_row_that_pillow_would_warn_about_is_made_in_silence(monkeypatch, strip):
    data = encoded(painted(23, 17), "PNG", exif=orientation(6))
    expected = decode(data)
    loaded = load(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 22)  # a row has 23
    np.testing.assert_array_equal(loaded.pixels(), expected)


MEASURED = """
import sys
from pathlib import Path
from lifeiqa.config import Preprocessing
from lifeiqa.preprocess.pipeline import cut

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

half = (0.5, 0.5, 0.5)
feed = Preprocessing(mean=half, std=half, short_side=int(sys.argv[2]) or None, crops=sys.argv[3])
before = peak()
cut(sys.argv[1], feed, int(sys.argv[4]), thumbnail=True)
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read in /proc")
@pytest.mark.parametrize("short_side", [64, 0])
@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "CMYK"), ("PNG", "RGBA")])
def test_a_large_image_takes_little_more_than_pillow_does(kind, mode, short_side, tmp_path):
    path, pixels = tmp_path / "large", 5000 * 4000
    options = {"compress_level": 1} if kind == "PNG" else {}
    image = Image.new(mode, (5000, 4000), (10, 200, 30, 99))
    path.write_bytes(encoded(image, kind, exif=orientation(6), **options))

    assert peak(path, short_side, "five", 64) < 4 * pixels / 2**20 + 40  # a copy would be 57


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read in /proc")
@pytest.mark.parametrize("shape", [(90_000, 224), (224, 90_000)])
def test_windows_along_a_strip_take_little_more_than_pillow_does(shape, tmp_path):
    """Sixteen windows of an image of 400:1; whole rows for each of them would be 920 MB."""
    path, pixels = tmp_path / "strip", shape[0] * shape[1]
    path.write_bytes(encoded(Image.new("RGB", shape, (10, 200, 30)), "PNG", compress_level=1))

    assert peak(path, 0, "cover", 224) < 4 * pixels / 2**20 + 40


def peak(path, short_side, plan, size):
    """MB that it takes to cut an image, beyond what the process had."""
    command = [sys.executable, "-c", MEASURED, str(path), str(short_side), plan, str(size)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout)
