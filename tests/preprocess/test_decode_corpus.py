"""Every image of Pillow's own tests gets crops or an ImageError, and nothing else happens.

They are in Pillow's source distribution: photographs, files of every kind, and files that crashed
it or kept it busy.
"""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import PIL
import pytest

from lifeiqa.preprocess.decode import decode

READ_ALL = Path(__file__).parents[1] / "helpers" / "read_all.py"
DAMAGED = [
    "apng/chunk_no_fctl.png",
    "bmp/b/badheadersize.bmp",
    "bmp/b/badpalettesize.bmp",
    "bmp/b/reallybig.bmp",
    "bmp/b/shortfile.bmp",
    "broken.png",
    "broken_data_stream.png",
    "decompression_bomb.gif",
    "libtiff_segfault.tif",
    "negative_size.ppm",
    "png_decompression_dos.png",
    "tiff_tiled_jpeg_oob_read.tif",
    "truncated_end_chunk.png",
    "truncated_image.png",
    "truncated_jpeg.jpg",
    "zero_width.gif",
]
# Pairs of files of the same image, and how far they may lie apart in mean.
TWINS = [
    ("16bit.MM.cropped.tif", "16bit.cropped.tif", 0),
    ("bmp/g/pal4rle.bmp", "bmp/html/pal4.png", 0),
    ("bmp/q/pal8rletrns.bmp", "pal8rletrns.png", 0),
    ("copyleft.tiff", "copyleft.png", 0),
    ("g4-fillorder-test.tif", "g4-fillorder-test.png", 0),
    ("hopper_1bit_plain.pbm", "hopper_1bit.pbm", 0),
    ("hopper_8bit_plain.ppm", "hopper_8bit.ppm", 0),
    ("hopper_16bit_plain.pgm", "hopper_16bit.pgm", 0),
    ("hopper_bigtiff.tif", "hopper.tif", 0),
    ("old-style-jpeg-compression.tif", "old-style-jpeg-compression.png", 0),
    ("tiff_16bit_RGB.tiff", "tiff_16bit_RGB_target.png", 0),
    ("tiff_16bit_RGBa.tiff", "tiff_16bit_RGBa_target.png", 0),
    ("tiff_strip_raw.tif", "tiff_adobe_deflate.png", 0),
    ("tiff_tiled_planar_lzw.tiff", "tiff_adobe_deflate.png", 0),
    ("bmp/g/rgb16-565.bmp", "bmp/html/rgb16-565.png", 1),
    *((f"g4_orientation_{way}.tif", "g4_orientation_1.tif", 1) for way in range(2, 9)),
    *((f"hopper_orientation_{way}.jpg", "hopper.jpg", 10) for way in range(2, 9)),
    *((f"hopper_orientation_{way}.webp", "hopper.webp", 10) for way in range(2, 9)),
]


@pytest.fixture(scope="module")
def images(request):
    """The folder of them, kept in pytest's cache."""
    folder = request.config.cache.mkdir(f"pillow-{PIL.__version__}")
    images = folder / f"pillow-{PIL.__version__}" / "Tests" / "images"
    if not images.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", "pillow", "--dest", folder, f"pillow=={PIL.__version__}"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
        except (OSError, subprocess.SubprocessError) as error:
            reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
            pytest.skip(f"the source of Pillow {PIL.__version__} cannot be fetched: {reason}")
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as source:
            inside = [member for member in source if "/Tests/images/" in member.name]
            unpacked = folder / "unpacked"
            source.extractall(unpacked, inside, filter="data")
        (unpacked / images.parts[-3]).rename(folder / images.parts[-3])  # whole or not there
        archive.unlink()
    return images


@pytest.fixture(scope="module")
def outcomes(images):
    """What `read_all` says of every file, by name."""
    paths = sorted(path for path in images.rglob("*") if path.is_file())
    assert len(paths) > 900
    run = subprocess.run(
        [sys.executable, "-W", "always", READ_ALL],
        input="\n".join(map(str, paths)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, f"{run.returncode} while reading {rows[-1]['path']}: {run.stderr}"
    assert run.stderr == ""
    found = {str(Path(row["path"]).relative_to(images)): row for row in rows if "seconds" in row}
    assert len(found) == len(paths)
    return found


def test_every_file_gets_crops_or_an_image_error(outcomes):
    assert {name: row for name, row in outcomes.items() if row["error"] == "other"} == {}


def test_nothing_is_printed(outcomes):
    assert {name: row["printed"] for name, row in outcomes.items() if row["printed"]} == {}


def test_no_file_takes_5_seconds(outcomes):
    assert {name: row for name, row in outcomes.items() if row["seconds"] > 5} == {}


def test_the_size_is_that_of_the_header_turned_upright(outcomes):
    scored = {name: row for name, row in outcomes.items() if row["error"] is None}
    assert len(scored) > 600
    assert {name: row for name, row in scored.items() if row["size"] != row["in_header"]} == {}


def test_what_is_damaged_is_refused(outcomes):
    assert {name: outcomes[name]["error"] for name in DAMAGED} == dict.fromkeys(DAMAGED, "image")


@pytest.mark.parametrize(("name", "other", "most"), TWINS)
def test_the_same_image_in_another_file_is_the_same(images, name, other, most):
    one, two = (decode(images / each).astype(int) for each in (name, other))
    assert one.shape == two.shape
    assert np.abs(one - two).mean() <= most
