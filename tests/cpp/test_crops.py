"""The C++ library cuts the same crops as lifeiqa.preprocess.crops, byte for byte."""

import hashlib
import itertools

import numpy as np
import pytest

from helpers.c_interface import CError, failure_of
from helpers.painting import painted
from lifeiqa.config import Preprocessing
from lifeiqa.preprocess.crops import crops_from_pixels

MEAN = (0.5, 0.5, 0.5)
PLANS = ("center", "five", "grid:1", "grid:4", "random:5:7", f"random:3:{2**64 - 1}")


def preprocessing(crops="center", short_side=None, resample="bicubic"):
    return Preprocessing(mean=MEAN, std=MEAN, short_side=short_side, crops=crops, resample=resample)


def sizes():
    """100 sizes: small, thin, and typical."""
    random = np.random.default_rng(5)
    small = random.integers(1, 70, (50, 2))
    thin = np.stack([random.integers(1, 9, 20), random.integers(100, 900, 20)], 1)
    large = random.integers(64, 700, (30, 2))
    return [tuple(map(int, size)) for size in [*small, *thin, *large]]


CASES = [
    (size, resample, PLANS[number % len(PLANS)], (None, 32, 50)[number % 3])
    for number, (size, resample) in enumerate(itertools.product(sizes(), ("bilinear", "bicubic")))
]


def digest(crops):
    return hashlib.sha256(crops.tobytes()).hexdigest()


def test_two_hundred_sizes_and_kernels_give_the_same_bytes(library):
    assert len(CASES) == 200
    for size, resample, plan, short_side in CASES:
        steps, pixels = preprocessing(plan, short_side, resample), painted(*size)
        expected = digest(crops_from_pixels(pixels, steps, 32))
        assert digest(library.cut(pixels, steps, 32)) == expected, (size, resample, plan)


def test_the_bytes_are_those_of_earlier_pillow_releases(library):
    """The digest comes from Pillow 12 and 13; tests/preprocess/test_crops.py checks it too."""
    whole = hashlib.sha256()
    for size, resample, plan, short_side in CASES:
        crops = library.cut(painted(*size), preprocessing(plan, short_side, resample), 32)
        whole.update(crops.tobytes())
    assert whole.hexdigest() == "b508b734e6da4b04309596191f3f3336365cca60ab5e382b6c11fb8600f3010a"


COVERED = [
    *itertools.product((32, 33, 40), (32, 33, 48, 64, 65, 200, 511, 512, 513, 3000)),
    *itertools.product((5, 20, 70), (5, 20, 70, 400)),
]


@pytest.mark.parametrize("short_side", [None, 32, 40])
def test_cover_gives_the_same_bytes(library, short_side):
    for number, size in enumerate(COVERED):
        steps = preprocessing("cover", short_side, ("bilinear", "bicubic")[number % 2])
        for pixels in (painted(*size), painted(*size[::-1])):
            expected = crops_from_pixels(pixels, steps, 32)
            np.testing.assert_array_equal(library.cut(pixels, steps, 32), expected)


def test_cover_has_the_fingerprint_of_python(library):
    """It is that of tests/preprocess/test_cover.py."""
    sizes = [(32, 32), (48, 64), (64, 48), (100, 37), (33, 201), (20, 50), (700, 33), (40, 40)]
    whole = hashlib.sha256()
    for size, resample, short_side in itertools.product(sizes, ("bilinear", "bicubic"), (32, 40)):
        steps = preprocessing("cover", short_side, resample)
        whole.update(library.cut(painted(*size), steps, 32).tobytes())
    assert whole.hexdigest() == "5e1f5222ffd8e3f8173aaa2ea0fa109175811ddc76d1bfaa5ee62112e82706af"


def test_rows_may_have_a_stride(library):
    wide = painted(60, 90)
    inside = wide[5:45, 10:70]
    steps = preprocessing("five", 36)
    assert not inside.flags.c_contiguous
    found = library.cut(inside, steps, 32, stride=wide.strides[0])
    np.testing.assert_array_equal(found, crops_from_pixels(inside, steps, 32))


# fmt: off
INVALID_PLANS = [
    "", "centre", "center:1", "cover:", "cover:2", "five:", "grid", "grid:0",
    "grid:33", "grid:-1", "grid:1:1", "grid:٣",
    "grid:99999999999999999999", "random:1", "random:1025:1", "random:0:1", "random:1:1x",
    f"random:1:{2**64}",
]
# fmt: on


@pytest.mark.parametrize("plan", INVALID_PLANS)
def test_an_invalid_plan_is_the_same_error(library, plan):
    arguments = painted(40, 40), preprocessing(plan), 32
    assert failure_of(library.cut, *arguments) == failure_of(crops_from_pixels, *arguments)


@pytest.mark.parametrize("shape", [(1, 3000000), (600000, 1)])
def test_an_image_too_thin_to_enlarge_is_the_same_error(library, shape):
    arguments = np.zeros((*shape, 3), np.uint8), preprocessing(), 224
    assert failure_of(library.cut, *arguments) == failure_of(crops_from_pixels, *arguments)


def test_a_short_side_below_the_crop_is_the_same_error(library):
    arguments = painted(40, 60), preprocessing(short_side=31), 32
    assert failure_of(library.cut, *arguments) == failure_of(crops_from_pixels, *arguments)


@pytest.mark.parametrize("stride", [0, -60, 59])
def test_rows_that_overlap_are_refused(library, stride):
    with pytest.raises(CError, match=f"20x10 with rows {stride} bytes apart"):
        library.cut(painted(10, 20), preprocessing(), 32, stride=stride)
