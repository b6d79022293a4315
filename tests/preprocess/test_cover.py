"""Crop plan ``cover``: as few windows as cover the longer side of the image."""

import hashlib
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.painting import painted
from lifeiqa.config import Preprocessing
from lifeiqa.preprocess.crops import CropPlan, crops_from_pixels, working_size

COVER = CropPlan.parse("cover")
LIMIT = 16


def preprocessing(short_side=None, resample="bicubic"):
    half = (0.5, 0.5, 0.5)
    return Preprocessing(
        mean=half, std=half, short_side=short_side, crops="cover", resample=resample
    )


def plain(height, width, size):
    """The windows by trial, in exact fractions."""
    longer, shorter = max(height, width), min(height, width)
    count = next((n for n in range(1, LIMIT) if n * size >= longer), LIMIT)
    steps = [Fraction(n, count - 1) if count > 1 else Fraction(0) for n in range(count)]
    along = [math.floor(step * (longer - size)) for step in steps]
    across = math.floor(Fraction(shorter - size, 2))
    return [(across, place) if width >= height else (place, across) for place in along]


@pytest.mark.parametrize(
    ("image", "count"),
    [
        ((4000, 4000), 1),
        ((4000, 3000), 2),
        ((3000, 2000), 2),
        ((1920, 1080), 2),
        ((2000, 1000), 2),
        ((2100, 1000), 3),
        ((3000, 1000), 3),
        ((3100, 1000), 4),
        ((16000, 1000), 16),
        ((100000, 1000), 16),
        ((10, 20), 2),  # enlarged first
        ((1, 1), 1),
    ],
)
def test_the_number_of_windows_follows_from_the_aspect_ratio(image, count):
    size = 224
    for sides in (image, image[::-1]):
        height, width = working_size(*sides, size, size)
        assert len(COVER.windows(height, width, size)) == count


def test_windows_of_known_sizes():
    assert COVER.windows(224, 224, 224) == [(0, 0)]
    assert COVER.windows(224, 336, 224) == [(0, 0), (0, 112)]
    assert COVER.windows(398, 224, 224) == [(0, 0), (174, 0)]
    assert COVER.windows(224, 672, 224) == [(0, 0), (0, 224), (0, 448)]
    assert COVER.windows(224, 599, 224) == [(0, 0), (0, 187), (0, 375)]  # 187.5 rounds down
    # A shorter side above the crop is not covered: the windows lie along its middle.
    assert COVER.windows(257, 300, 224) == [(16, 0), (16, 76)]
    # Two equal sides above the crop are covered along the width.
    assert COVER.windows(300, 300, 224) == [(38, 0), (38, 76)]


def test_every_size_has_the_windows_of_the_plain_version():
    for size in (1, 2, 7, 10):
        for height, width in itertools.product(range(size, size + 40), range(size, size + 200, 3)):
            assert COVER.windows(height, width, size) == plain(height, width, size)
            assert COVER.windows(width, height, size) == plain(width, height, size)


sides = st.integers(1, 600), st.integers(0, 200_000), st.integers(0, 3000)


@given(*sides)
@settings(deadline=None)
def test_the_longer_side_is_covered_unless_the_limit_is_reached(size, more, across):
    longer, shorter = size + more, size + min(more, across)
    places = [left for _, left in COVER.windows(shorter, longer, size)]

    assert (places[0], places[-1]) == (0, longer - size)
    assert places == sorted(set(places))
    steps = np.diff(places)
    assert len(places) == min(LIMIT, -(-longer // size)) <= COVER.max_count
    assert steps.size == 0 or steps.max() - steps.min() <= 1
    covered = steps.size == 0 or steps.max() <= size
    assert covered == (not COVER.leaves_gaps(shorter, longer, size))
    assert covered == (longer <= LIMIT * size)


@given(*sides)
@settings(deadline=None)
def test_a_mirrored_or_turned_image_has_the_mirrored_or_turned_windows(size, more, across):
    longer, shorter = size + more, size + min(more, across)
    windows = COVER.windows(shorter, longer, size)

    mirrored = [longer - size - left for _, left in reversed(windows)]
    assert all(0 <= m - left <= 1 for m, (_, left) in zip(mirrored, windows, strict=True))
    if longer != shorter:
        assert COVER.windows(longer, shorter, size) == [(left, top) for top, left in windows]


@pytest.mark.parametrize("plan", ["center", "five", "grid:3", "random:4:7"])
def test_other_plans_promise_no_cover(plan):
    assert not CropPlan.parse(plan).leaves_gaps(10, 10_000, 10)


@pytest.mark.parametrize("length", [32, 33, 63, 64, 65, 300, 511, 512, 513, 2000])
@pytest.mark.parametrize("shorter", [32, 33, 57])
def test_crops_hold_every_place_along_the_longer_side(length, shorter):
    """Each column, or row, is painted with its number."""
    numbers = np.broadcast_to(np.arange(max(length, shorter)), (shorter, max(length, shorter)))
    pixels = np.dstack([numbers % 256, numbers // 256, 0 * numbers]).astype(np.uint8)
    for turned in (pixels, pixels.swapaxes(0, 1)):
        if turned is not pixels and length <= shorter:
            continue  # of equal sides the width is covered
        crops = crops_from_pixels(turned, preprocessing(), 32).astype(int)
        seen = set(np.unique(crops[..., 0] + 256 * crops[..., 1]).tolist())
        if length <= LIMIT * 32:
            assert seen == set(range(max(length, shorter)))
        else:
            assert len(seen) == LIMIT * 32
            assert {0, length - 1} <= seen


def test_crops_are_pinned_to_the_byte():
    """See the fingerprint in test_crops.py, which has the other plans."""
    sizes = [(32, 32), (48, 64), (64, 48), (100, 37), (33, 201), (20, 50), (700, 33), (40, 40)]
    digest = hashlib.sha256()
    for size, resample, short_side in itertools.product(sizes, ("bilinear", "bicubic"), (32, 40)):
        steps = preprocessing(short_side, resample)
        digest.update(crops_from_pixels(painted(*size), steps, 32).tobytes())
    assert digest.hexdigest() == "5e1f5222ffd8e3f8173aaa2ea0fa109175811ddc76d1bfaa5ee62112e82706af"
