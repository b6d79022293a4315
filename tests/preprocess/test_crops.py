"""Crops are the same bytes on every machine, as lifeiqa.preprocess.crops specifies."""

import hashlib
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.painting import painted
from lifeiqa.config import Preprocessing
from lifeiqa.errors import ConfigError, ImageError
from lifeiqa.preprocess.crops import CropPlan, crops_from_pixels, resize, with_plan, working_size

# (old height, old width) -> (new height, new width)
RESIZES = [
    ((40, 60), (20, 30)),
    ((41, 67), (13, 29)),
    ((13, 9), (40, 28)),
    ((50, 20), (17, 45)),
    ((7, 64), (31, 5)),
    ((33, 33), (32, 33)),
    ((33, 33), (33, 34)),
    ((1, 1), (5, 4)),
    ((1, 50), (3, 7)),
    ((200, 3), (11, 3)),
]


def preprocessing(crops="center", short_side=None, resample="bicubic"):
    mean = (0.5, 0.5, 0.5)
    return Preprocessing(mean=mean, std=mean, short_side=short_side, crops=crops, resample=resample)


def triangle(x):
    return max(0.0, 1 - abs(x))


def cubic(x, a=-0.5):
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


KERNELS = {"bilinear": (triangle, 1), "bicubic": (cubic, 2)}


def taps(old, new, kernel, support):
    """For each new sample, its first old sample and the weights in units of 2**-22."""
    scale = old / new
    stretch = max(1.0, scale)
    for place in range(new):
        centre = (place + 0.5) * scale
        first = max(0, int(centre - support * stretch + 0.5))
        last = min(old, int(centre + support * stretch + 0.5))
        weights = [kernel((x - centre + 0.5) / stretch) for x in range(first, last)]
        shares = [weight / sum(weights) * 2**22 for weight in weights]
        yield first, [int(math.copysign(math.floor(abs(s) + 0.5), s)) for s in shares]


def pass_over_columns(pixels, new, resample):
    columns = []
    for first, weights in taps(pixels.shape[1], new, *KERNELS[resample]):
        window = pixels[:, first : first + len(weights)].astype(np.int64)  # (H, taps, 3)
        total = 2**21 + sum(weight * window[:, i] for i, weight in enumerate(weights))
        columns.append(np.clip(total >> 22, 0, 255).astype(np.uint8))
    return np.stack(columns, axis=1)


def pass_over_rows(pixels, new, resample):
    return pass_over_columns(pixels.swapaxes(0, 1), new, resample).swapaxes(0, 1)


@pytest.mark.parametrize("resample", KERNELS)
@pytest.mark.parametrize(("old", "new"), RESIZES)
def test_resizing_repeats_the_specification_byte_for_byte(old, new, resample):
    pixels = painted(*old)
    expected = pass_over_rows(pass_over_columns(pixels, new[1], resample), new[0], resample)
    np.testing.assert_array_equal(resize(pixels, *new, resample), expected)


@pytest.mark.parametrize("resample", KERNELS)
def test_the_other_order_of_passes_would_give_other_bytes(resample):
    pixels = painted(90, 30)
    other = pass_over_columns(pass_over_rows(pixels, 41, resample), 14, resample)
    assert (resize(pixels, 41, 14, resample) != other).any()


def test_an_image_of_the_right_size_is_not_touched():
    pixels = painted(20, 30)
    assert resize(pixels, 20, 30, "bicubic") is pixels


@pytest.mark.parametrize(
    ("image", "short_side", "working"),
    [
        ((100, 200), None, (100, 200)),
        ((100, 200), 100, (100, 200)),
        ((100, 200), 120, (100, 200)),  # below the working scale: not enlarged to it
        ((100, 200), 50, (50, 100)),
        ((200, 101), 50, (99, 50)),
        ((100, 101), 50, (50, 51)),  # 50.5 rounds up
        ((10, 20), None, (32, 64)),
        ((20, 10), 50, (64, 32)),
        ((31, 33), 50, (32, 34)),
        ((1, 1), None, (32, 32)),
        ((32, 32), 32, (32, 32)),
    ],
)
def test_working_size(image, short_side, working):
    assert working_size(*image, short_side, 32) == working


@given(
    st.integers(1, 5000), st.integers(1, 5000), st.none() | st.integers(16, 600), st.integers(1, 16)
)
@settings(deadline=None)
def test_working_size_holds_a_crop_and_keeps_the_aspect(height, width, short_side, size):
    new_height, new_width = working_size(height, width, short_side, size)
    assert min(new_height, new_width) >= size
    target = min(new_height, new_width)
    assert abs(max(new_height, new_width) - max(height, width) * target / min(height, width)) <= 0.5
    assert (new_height <= new_width) or (height > width)


@pytest.mark.parametrize(
    ("plan", "windows"),
    [
        ("center", [(3, 10)]),
        ("five", [(3, 10), (0, 0), (0, 21), (7, 0), (7, 21)]),
        ("grid:1", [(3, 10)]),
        ("grid:2", [(0, 0), (0, 21), (7, 0), (7, 21)]),
        ("grid:3", [(y, x) for y in (0, 3, 7) for x in (0, 10, 21)]),
        ("random:2:1234567", [(5, 11), (7, 1)]),
    ],
)
def test_windows_of_each_plan(plan, windows):
    parsed = CropPlan.parse(plan)
    assert parsed.windows(height=17, width=31, size=10) == windows
    assert parsed.max_count == len(windows)


def test_random_windows_are_the_published_outputs_of_splitmix64():
    # An image of 2**64 places along each side shows the generator's outputs themselves.
    windows = CropPlan.parse("random:3:1234567").windows(2**64, 2**64, 1)
    assert list(itertools.chain(*windows))[:5] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_random_windows_depend_on_the_seed_alone():
    first, again, other = (
        CropPlan.parse(plan).windows(500, 700, 224)
        for plan in ("random:8:5", "random:8:5", "random:8:6")
    )
    assert first == again != other
    assert CropPlan.parse("random:3:5").windows(500, 700, 224) == first[:3]


BAD_PLANS = [
    "middle",
    "Grid:2",
    "center:1",
    "cover:",
    "cover:2",
    "five:",
    "grid",
    "grid:0",
    "grid:-2",
    "grid:+2",
    "grid:x",
    "grid:1_0",
    "grid:2:2",
    "grid:٣",
    "grid:33",
    "random:4",
    "random:0:1",
    "random:-1:1",
    "random:1025:1",
    "random:4:-1",
    "random:4:1.5",
    "random:4:1:1",
    "random:4:18446744073709551616",
]


@pytest.mark.parametrize("plan", ["", " center", "grid: 2", *BAD_PLANS])
def test_a_plan_that_cannot_be_read_is_refused_with_its_text(plan):
    with pytest.raises(ConfigError) as refused:
        CropPlan.parse(plan)
    assert repr(plan) in str(refused.value)


def test_the_largest_plans_are_accepted():
    assert CropPlan.parse("grid:32").max_count == 1024
    assert CropPlan.parse(f"random:1024:{2**64 - 1}").max_count == 1024


PLANS = (
    st.sampled_from(["center", "five"])
    | st.integers(1, 32).map("grid:{}".format)
    | st.builds("random:{}:{}".format, st.integers(1, 40), st.integers(0, 2**64 - 1))
)


@given(PLANS, st.integers(1, 400), st.integers(0, 9000), st.integers(0, 9000))
@settings(deadline=None)
def test_every_window_lies_inside_the_image(plan, size, more_rows, more_columns):
    height, width = size + more_rows, size + more_columns
    parsed = CropPlan.parse(plan)
    windows = parsed.windows(height, width, size)
    assert len(windows) == parsed.max_count
    assert all(0 <= top <= height - size for top, _ in windows)
    assert all(0 <= left <= width - size for _, left in windows)


def test_crops_are_copies_of_their_windows():
    pixels = painted(40, 60)
    crops = crops_from_pixels(pixels, preprocessing("five"), 32)
    windows = [(4, 14), (0, 0), (0, 28), (8, 0), (8, 28)]
    for crop, (top, left) in zip(crops, windows, strict=True):
        np.testing.assert_array_equal(crop, pixels[top : top + 32, left : left + 32])


@pytest.mark.parametrize("shape", [(32, 32), (1, 1), (5, 90), (70, 40)])
def test_crops_own_contiguous_memory(shape):
    pixels = painted(*shape)
    untouched = pixels.copy()
    crops = crops_from_pixels(pixels, preprocessing(), 32)
    assert (crops.dtype, crops.shape) == (np.uint8, (1, 32, 32, 3))
    assert crops.flags.c_contiguous
    assert crops.flags.writeable
    crops[:] = 0
    np.testing.assert_array_equal(pixels, untouched)


def test_an_image_of_one_pixel_becomes_a_plain_crop():
    pixels = np.array([[[10, 20, 30]]], np.uint8)
    crops = crops_from_pixels(pixels, preprocessing("five"), 32)
    assert (crops == pixels).all()


@pytest.mark.parametrize("shape", [(1, 60000), (60000, 1)])
def test_an_image_too_thin_to_enlarge_is_refused_with_its_size(shape):
    with pytest.raises(ImageError, match=f"{shape[1]}x{shape[0]} is too thin"):
        crops_from_pixels(np.zeros((*shape, 3), np.uint8), preprocessing(), 224)


def test_a_working_scale_below_the_crop_is_refused():
    with pytest.raises(ConfigError, match="short_side 31 is below the crop of 32"):
        crops_from_pixels(painted(40, 60), preprocessing(short_side=31), 32)


def test_with_plan_replaces_the_plan_alone():
    own = preprocessing("five", short_side=50)
    assert with_plan(own, None) is own
    assert with_plan(own, "grid:2") == preprocessing("grid:2", short_side=50)
    with pytest.raises(ConfigError, match="'grid:0'"):
        with_plan(own, "grid:0")


def test_crops_are_pinned_to_the_byte():
    # Another fingerprint means other scores for the same image: by another Pillow, or by a
    # change here, which is then a new version of the preprocessing.
    sizes = [(32, 32), (48, 64), (100, 37), (33, 201), (20, 50)]
    plans = ["center", "five", "grid:3", "random:4:7"]
    digest = hashlib.sha256()
    for size, resample, plan in itertools.product(sizes, KERNELS, plans):
        steps = preprocessing(plan, short_side=40, resample=resample)
        digest.update(crops_from_pixels(painted(*size), steps, 32).tobytes())
    assert digest.hexdigest() == "27ac34ad6899f402613e92a284b606becf3123459b01f24fdad2da98334e6ff7"
