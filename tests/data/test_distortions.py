"""Distortions: rising strength changes an image more, and nothing else differs."""

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from helpers.raster import pattern
from lifeiqa.data.distortions import LEVELS, STRENGTHS, distort
from lifeiqa.errors import ConfigError, ImageError

KINDS = sorted(STRENGTHS)
RISING = range(1, LEVELS + 1)


@pytest.fixture(scope="module")
def photograph():
    return photographs.coffee()[100:301, 200:431]


def mean_squared_difference(first, second):
    return np.mean((first.astype(float) - second) ** 2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_level_changes_a_photograph_more_than_the_one_before(kind, photograph):
    changes = [
        mean_squared_difference(distort(photograph, kind, level), photograph)
        for level in range(LEVELS + 1)
    ]

    assert changes[0] == 0
    assert all(np.diff(changes) > 0), changes


@pytest.mark.parametrize("kind", KINDS)
def test_level_5_is_far_worse_than_level_1(kind, photograph):
    just_visible, severe = (
        mean_squared_difference(distort(photograph, kind, level), photograph)
        for level in (1, LEVELS)
    )

    assert severe > 4 * just_visible


@pytest.mark.parametrize("level", [0, 1, LEVELS])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (3, 5), (17, 31), (40, 30)])
def test_any_size_keeps_its_shape_and_the_input_is_spared(shape, kind, level):
    pixels = pattern(*shape)

    distorted = distort(pixels, kind, level)

    assert (distorted.dtype, distorted.shape) == (np.uint8, (*shape, 3))
    np.testing.assert_array_equal(pixels, pattern(*shape))
    np.testing.assert_array_equal(distorted, distort(pixels, kind, level))


@pytest.mark.parametrize("kind", KINDS)
def test_level_0_is_the_image_itself(kind):
    np.testing.assert_array_equal(distort(pattern(), kind, 0), pattern())


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_whose_rows_lie_apart_in_memory_is_read_as_it_looks(kind):
    whole = pattern(40, 60)

    np.testing.assert_array_equal(
        distort(whole[::2, ::3], kind, 3), distort(whole[::2, ::3].copy(), kind, 3)
    )


def test_noise_has_its_standard_deviation_and_does_not_wrap():
    grey = np.full((96, 96, 3), 128, np.uint8)

    for level in RISING[:3]:  # at the higher levels the ends of the range cut the tails off
        noisy = distort(grey, "noise", level)
        assert noisy.std() == pytest.approx(STRENGTHS["noise"][level - 1], rel=0.03)
        assert noisy.mean() == pytest.approx(127.5, abs=0.5)  # half a level goes with the fractions
    assert distort(np.full_like(grey, 255), "noise", 3).min() > 128
    assert distort(np.zeros_like(grey), "noise", 3).max() < 128


def test_all_levels_of_noise_scale_one_field():
    grey = np.full((32, 32, 3), 128, np.uint8)
    weak, strong = (distort(grey, "noise", level).astype(float) - 128 for level in (1, 3))
    ratio = STRENGTHS["noise"][2] / STRENGTHS["noise"][0]

    # Each lost a fraction of a level to the cast to 8 bits.
    assert np.abs(strong - ratio * weak).max() <= ratio


def test_noise_is_drawn_from_its_seed():
    first, again, other = (distort(pattern(), "noise", 2, seed=seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_contrast_keeps_a_share_of_the_distance_to_middle_grey():
    greys = np.array([[[0, 128, 255]]], np.uint8)

    assert distort(greys, "contrast", 2).tolist() == [[[64, 128, 191]]]
    assert distort(greys, "contrast", 4).tolist() == [[[96, 128, 159]]]


def test_colour_loss_ends_in_grey_and_keeps_the_luma(photograph):
    def luma(pixels):
        return pixels @ np.array([0.299, 0.587, 0.114])

    grey = distort(photograph, "colour", LEVELS)
    assert (grey == grey[:, :, :1]).all()
    for level in RISING:
        drift = luma(distort(photograph, "colour", level)) - luma(photograph)
        assert np.abs(drift).max() <= 2  # the grey is rounded, and each sample cut


def test_colour_loss_leaves_a_grey_image_alone():
    grey = np.repeat(pattern(12, 10, 1), 3, axis=2)

    for level in RISING:
        np.testing.assert_array_equal(distort(grey, "colour", level), grey)


def test_darken_keeps_a_share_of_the_light():
    greys = np.array([[[0, 100, 255]]], np.uint8)

    assert distort(greys, "darken", 3).tolist() == [[[0, 33, 85]]]


def test_blur_has_its_standard_deviation():
    point = np.zeros((81, 81, 3), np.uint8)
    point[:, 40] = 255
    offset = np.arange(81) - 40
    for level in RISING[2:]:  # a narrower line is lost in the rounding to 8 bits
        spread = distort(point, "blur", level)[40, :, 0].astype(float)
        sigma = np.sqrt((spread * offset**2).sum() / spread.sum())
        assert sigma == pytest.approx(STRENGTHS["blur"][level - 1], rel=0.05)


@pytest.mark.parametrize("kind", ["", "pristine", "Blur", "jpeg 2000"])
def test_an_unknown_kind_is_refused_with_those_that_there_are(kind):
    with pytest.raises(ConfigError) as refused:
        distort(pattern(), kind, 1)

    assert repr(kind) in str(refused.value)
    assert all(known in str(refused.value) for known in STRENGTHS)


@pytest.mark.parametrize("level", [-1, LEVELS + 1, 2.5])
def test_an_unknown_level_is_refused(level):
    with pytest.raises(ConfigError, match=f"level {level} of blur: choose 0"):
        distort(pattern(), "blur", level)


@pytest.mark.parametrize("kind", KINDS)
def test_an_array_that_is_no_rgb_image_is_refused(kind):
    with pytest.raises(ImageError, match="RGB uint8"):
        distort(pattern(8, 8, 4), kind, 1)


@pytest.mark.parametrize("codec", ["JPEG", "JPEG2000"])
def test_a_codec_that_this_pillow_lacks_is_named(codec, monkeypatch):
    Image.init()  # else the first save registers the codec again
    monkeypatch.delitem(Image.SAVE, codec)

    with pytest.raises(ConfigError, match=f"this Pillow cannot write {codec}"):
        distort(pattern(), codec.lower(), 1)
