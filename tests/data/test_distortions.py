"""What holds for every kind of distortion: sizes, seeds, strengths, opinions and errors."""

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from helpers.raster import pattern
from lifeiqa.data.distortions import (
    KINDS,
    LEVELS,
    UNDISTORTED_OPINION,
    compose,
    distort,
    mean_opinion,
)
from lifeiqa.data.distortions.kinds import Parameter
from lifeiqa.data.distortions.scale import reduced
from lifeiqa.errors import ConfigError, ImageError

NAMES = list(KINDS)
SCORED = [name for name, kind in KINDS.items() if kind.opinions is not None]
TABLED = [name for name, kind in KINDS.items() if kind.tabled]
MONOTONE = [name for name, kind in KINDS.items() if kind.monotone]
SEEDED = {
    *("motion_blur", "color_shift", "white_noise", "white_noise_ycbcr", "impulse_noise"),
    *("multiplicative_noise", "denoise", "jitter", "non_eccentricity_patch", "color_block"),
    *("resampling", "screen_photo", "interlacing", "haze", "sensor_noise"),
}
STEPPED = {
    *("jpeg", "jpeg2000", "webp", "avif", "screen_photo", "color_quantization", "quantization"),
    *("pixelate", "denoise", "resampling", "chroma_bleeding", "banding"),
}
"""Kinds with a parameter that is a whole number, or that rounding decides."""


@pytest.fixture(scope="module")
def photograph():
    """256x200, in color, with smooth and busy parts."""
    return photographs.coffee()[100:300, 180:436]


def mean_squared_difference(first, second):
    return np.mean((first.astype(float) - second) ** 2)


def test_the_25_kinds_of_kadid_have_the_opinions_of_people():
    assert len(TABLED) == 25
    for name in TABLED:
        kind = KINDS[name]
        assert len(kind.opinions) == len(kind.spread) == LEVELS
        assert all(1 <= opinion <= 5 for opinion in kind.opinions)
    assert set(NAMES) - set(TABLED) >= {"webp", "avif", "resampling", "banding", "screen_photo"}
    assert {name for name in TABLED if not KINDS[name].monotone} == {
        "mean_shift",
        "contrast_change",
    }


@pytest.mark.parametrize("name", MONOTONE)
def test_every_strength_changes_a_photograph_more_than_the_one_before(name, photograph):
    changes = [
        mean_squared_difference(distort(photograph, name, strength), photograph)
        for strength in range(LEVELS + 1)
    ]

    # At strength 1 these change nothing that 8 bits hold.
    first = 2 if name in {"gaussian_blur", "motion_blur", "color_saturation_lab"} else 1
    assert changes[:first] == [0] * first
    assert all(np.diff(changes[first - 1 :]) > 0), changes


@pytest.mark.parametrize("name", ["mean_shift", "contrast_change"])
def test_kinds_with_two_sides_are_least_in_the_middle(name, photograph):
    changes = [
        mean_squared_difference(distort(photograph, name, strength), photograph)
        for strength in (1, 2, 3, 4, 5)
    ]

    assert all(np.diff(changes[:3]) < 0), changes
    assert all(np.diff(changes[2:]) > 0), changes


@pytest.mark.parametrize("strength", [0, 0.01, 1, 2.5, 5])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (3, 7), (17, 31)])
def test_any_size_keeps_its_shape_and_the_input_is_spared(shape, name, strength):
    pixels = pattern(*shape)

    distorted = distort(pixels, name, strength)

    assert (distorted.dtype, distorted.shape) == (np.uint8, (*shape, 3))
    np.testing.assert_array_equal(pixels, pattern(*shape))


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("name", NAMES)
def test_black_and_white_images_are_taken(name, value):
    pixels = np.full((24, 40, 3), value, np.uint8)

    for strength in (0.5, 3, 5):
        assert distort(pixels, name, strength).shape == pixels.shape


@pytest.mark.parametrize("name", NAMES)
def test_strength_0_is_the_image_itself(name):
    np.testing.assert_array_equal(distort(pattern(), name, 0), pattern())


@pytest.mark.parametrize("name", NAMES)
def test_strengths_close_to_0_change_little(name, photograph):
    nearly_0, first = (
        mean_squared_difference(distort(photograph, name, strength), photograph)
        for strength in (0.02, 1)
    )

    # A codec, a palette or a resampling at its mildest costs something all the same.
    assert nearly_0 < (0.7 if name in STEPPED else 0.05) * first + 1.5


@pytest.mark.parametrize("strength", [0.7, 1.99, 3.3, 4.6])
@pytest.mark.parametrize("name", NAMES)
def test_a_little_more_strength_changes_little(name, strength, photograph):
    """A hundredth of a strength is far less than a whole one, of one and the same seed."""
    lower, little, whole = (
        distort(photograph, name, s) for s in (strength, strength + 0.01, max(strength - 1, 0))
    )

    if name in STEPPED:  # another palette or block size moves every pixel, but does no more damage
        damage, more = (mean_squared_difference(d, photograph) for d in (lower, little))
        assert abs(more - damage) < 0.1 * damage + 1
    else:
        small = mean_squared_difference(lower, little)
        assert small < 0.1 * mean_squared_difference(lower, whole) + 0.5


@pytest.mark.parametrize("name", NAMES)
def test_what_is_random_follows_from_the_seed(name, photograph):
    crop = photograph[:96, :128]
    first, again, other = (distort(crop, name, 4, seed=seed) for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any() == (name in SEEDED)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_whose_rows_lie_apart_in_memory_is_read_as_it_looks(name):
    whole = pattern(40, 60)

    np.testing.assert_array_equal(
        distort(whole[::2, ::3], name, 3), distort(whole[::2, ::3].copy(), name, 3)
    )


@pytest.mark.parametrize("name", SCORED)
def test_opinions_are_those_of_the_table_and_linear_between(name):
    kind = KINDS[name]
    for strength, opinion in enumerate((UNDISTORTED_OPINION, *kind.opinions)):
        assert mean_opinion(name, strength) == pytest.approx(opinion)
    assert mean_opinion(name, 2.25) == pytest.approx(
        0.75 * kind.opinions[1] + 0.25 * kind.opinions[2]
    )


def test_a_kind_without_opinions_says_so():
    with pytest.raises(ConfigError, match="'haze' has no table of opinions"):
        mean_opinion("haze", 2)


def test_estimated_opinions_are_not_those_of_people():
    estimated = [kind for kind in KINDS.values() if kind.estimated]

    assert len(estimated) == 13
    assert not any(kind.tabled for kind in estimated)
    assert all(kind.monotone and kind.opinions[0] > kind.opinions[-1] for kind in estimated)


def test_an_undistorted_image_is_almost_imperceptible():
    assert mean_opinion("jpeg", 0) == UNDISTORTED_OPINION == 4.6


def test_composing_applies_each_step_with_a_random_field_of_its_own(photograph):
    steps = [("white_noise", 3), ("white_noise", 3)]
    twice = compose(photograph, steps, seed=1).astype(float) - photograph
    once = compose(photograph, steps[:1], seed=1).astype(float) - photograph

    # Independent fields add in variance, one field twice over would add in amplitude.
    assert twice.std() / once.std() == pytest.approx(np.sqrt(2), rel=0.05)
    np.testing.assert_array_equal(
        twice, compose(photograph, steps, seed=1) - photograph.astype(float)
    )
    assert (compose(photograph, steps, seed=2) != compose(photograph, steps, seed=1)).any()


def test_composing_nothing_or_kinds_without_chance_is_plain(photograph):
    np.testing.assert_array_equal(compose(photograph, [], seed=0), photograph)
    by_hand = distort(distort(photograph, "darken", 3), "jpeg", 2)
    np.testing.assert_array_equal(
        compose(photograph, [("darken", 3), ("jpeg", 2)], seed=9), by_hand
    )


def test_composing_is_in_order(photograph):
    steps = [("lens_blur", 3), ("high_sharpen", 3)]

    assert (compose(photograph, steps, seed=0) != compose(photograph, steps[::-1], seed=0)).any()


@pytest.mark.parametrize("name", ["", "pristine", "Jpeg", "jpeg 2000", "blur"])
def test_an_unknown_kind_is_refused_with_those_that_there_are(name):
    for call in (lambda: distort(pattern(), name, 1), lambda: mean_opinion(name, 1)):
        with pytest.raises(ConfigError) as refused:
            call()
        assert repr(name) in str(refused.value)
        assert all(known in str(refused.value) for known in KINDS)


@pytest.mark.parametrize("strength", [-1, -1e-9, 5.001, float("nan"), float("inf")])
def test_an_unknown_strength_is_refused(strength):
    with pytest.raises(ConfigError, match=f"strength {strength} of jpeg: choose 0"):
        distort(pattern(), "jpeg", strength)
    with pytest.raises(ConfigError, match=f"strength {strength} of jpeg: choose 0"):
        mean_opinion("jpeg", strength)


@pytest.mark.parametrize("name", NAMES)
def test_an_array_that_is_no_rgb_image_is_refused(name):
    with pytest.raises(ImageError, match="RGB uint8"):
        distort(pattern(8, 8, 4), name, 1)


@pytest.mark.parametrize("codec", ["JPEG", "JPEG2000", "WEBP", "AVIF"])
def test_a_codec_that_this_pillow_lacks_is_named(codec, monkeypatch):
    Image.init()
    monkeypatch.delitem(Image.SAVE, codec)

    with pytest.raises(ConfigError, match=f"cannot write {codec}"):
        distort(pattern(), codec.lower(), 1)


def test_a_parameter_passes_through_its_values_and_is_geometric_between():
    parameter = Parameter(0, (1, 4, 16, 32, 64))

    assert [parameter.at(strength) for strength in range(6)] == [0, 1, 4, 16, 32, 64]
    assert parameter.at(0.25) == pytest.approx(0.25)  # there is no factor from 0
    assert parameter.at(1.5) == pytest.approx(2)
    assert parameter.at(4.5) == pytest.approx(32 * np.sqrt(2))
    assert Parameter(1, (2, 3, 4, 5, 6), geometric=False).at(4.5) == pytest.approx(5.5)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((768, 512), (576, 384)),
        ((512, 768), (384, 576)),
        ((384, 900), (384, 900)),
        ((9, 7), (9, 7)),
    ],
)
def test_images_are_reduced_to_the_size_that_strengths_hold_for(shape, expected):
    assert reduced(pattern(*shape)).shape == (*expected, 3)
