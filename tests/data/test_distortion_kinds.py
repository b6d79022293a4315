"""Each tabled kind of distortion does what its name says to an image that is known."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage import color as reference
from skimage import data as photographs

from helpers.raster import encoded, pattern
from lifeiqa.data.distortions import KINDS, distort
from lifeiqa.data.distortions.blur import LENGTH, RADIUS, SIGMA, disk, line
from lifeiqa.data.distortions.color import COLORS, SHIFT
from lifeiqa.data.distortions.compression import JPEG2000_RATIO, JPEG_QUALITY
from lifeiqa.data.distortions.spatial import DISPLACEMENT, PASSES, REDUCTION
from lifeiqa.data.distortions.tone import VALUES

TABLED_SHAPE = (384, 512)


@pytest.fixture(scope="module")
def photograph():
    return photographs.coffee()[100:300, 180:436]


def flat(grey=128, shape=(256, 256)):
    return np.full((*shape, 3), grey, np.uint8)


def soft_colors(shape=(96, 128)):
    """Colors of low chroma that vary smoothly, far inside the gamut even when multiplied."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    green = 128 + 3 * np.sin(rows / 9)
    return np.stack([128 + 3 * np.sin(columns / 7), green, 128 + 2 * np.cos(rows / 5)], -1).astype(
        np.uint8
    )


def difference(distorted, pixels):
    return distorted.astype(float) - pixels


def spread_of_a_line(kind, strength):
    """Standard deviation, pixels, of what becomes of a bright column."""
    pixels = flat(0, (81, 81))
    pixels[:, 40] = 255
    row = distort(pixels, kind, strength)[40, :, 0].astype(float)
    offset = np.arange(81) - 40
    return math.sqrt((row * offset**2).sum() / row.sum())


@pytest.mark.parametrize("strength", [3, 4, 4.5, 5])
def test_gaussian_blur_has_its_standard_deviation(strength):
    assert spread_of_a_line("gaussian_blur", strength) == pytest.approx(
        SIGMA.at(strength), rel=0.05
    )


@pytest.mark.parametrize("strength", [2, 3.5, 5])
def test_lens_blur_spreads_light_as_a_disk_does(strength):
    # Along one axis the variance of a disk is a quarter of its squared radius; a pixel adds 1/12.
    expected = math.sqrt(RADIUS.at(strength) ** 2 / 4 + 1 / 12)
    assert spread_of_a_line("lens_blur", strength) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("radius", [1, 2, 4.5, 8])
def test_a_disk_is_round_flat_and_of_sum_1(radius):
    kernel = disk(radius)

    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(kernel, kernel.T)
    assert kernel.max() == pytest.approx(1 / (math.pi * radius**2), rel=0.12)


@pytest.mark.parametrize("angle", [0, 0.3, 1, math.pi / 2, 2.5])
@pytest.mark.parametrize("length", [1, 2, 6, 10])
def test_a_line_lies_along_its_angle(length, angle):
    kernel = line(length, angle)
    reach = len(kernel) // 2
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = columns * math.cos(angle) - rows * math.sin(angle)
    across = columns * math.sin(angle) + rows * math.cos(angle)

    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel * across**2).sum() < 0.35
    assert (kernel * along**2).sum() == pytest.approx(
        (length**2 - 1) / 12, abs=max(0.26, 0.05 * length**2)
    )


def test_motion_blur_follows_its_line(photograph):
    distorted = distort(photograph, "motion_blur", 5, seed=4)
    angle = np.random.default_rng(4).uniform(0, math.pi)
    kernel = line(LENGTH.at(5), angle).astype(float)
    expected = np.stack(
        [ndimage.convolve(photograph[..., c].astype(float), kernel) for c in range(3)], -1
    )

    np.testing.assert_allclose(distorted, expected, atol=0.51)


def test_color_diffusion_blurs_and_multiplies_color_and_keeps_lightness():
    pixels = soft_colors()
    before, after = (reference.rgb2lab(p) for p in (pixels, distort(pixels, "color_diffusion", 2)))
    wanted = 3 * ndimage.gaussian_filter(before[..., 1:], (6.5, 6.5, 0))

    np.testing.assert_allclose(after[..., 0], before[..., 0], atol=0.5)
    np.testing.assert_allclose(after[..., 1:], wanted, atol=0.8)


@pytest.mark.parametrize("strength", [2, 4])
def test_color_shift_moves_green_at_edges_alone(strength):
    pixels = flat(60, (128, 128))
    pixels[40:90, 40:90] = 200
    distorted = distort(pixels, "color_shift", strength, seed=5)
    angle = np.random.default_rng(5).uniform(0, 2 * math.pi)
    distance = SHIFT.at(strength)
    away = distance * np.array([math.sin(angle), math.cos(angle)])
    before, after = (
        np.array(ndimage.center_of_mass(p[..., 1].astype(float) - 60)) for p in (pixels, distorted)
    )

    np.testing.assert_array_equal(distorted[..., ::2], pixels[..., ::2])
    np.testing.assert_allclose(after - before, away, atol=0.1 * distance)
    np.testing.assert_array_equal(distorted[55:75, 55:75], pixels[55:75, 55:75])
    np.testing.assert_array_equal(distort(flat(), "color_shift", strength), flat())


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_color_quantization_leaves_few_colors_and_the_mean(strength, photograph):
    distorted = distort(photograph, "color_quantization", strength)
    colors = np.unique(distorted.reshape(-1, 3), axis=0)

    assert COLORS.at(strength) / 2 < len(colors) <= COLORS.at(strength)
    # Error diffusion keeps local means, except where the palette does not reach.
    assert np.abs(difference(distorted, photograph).mean((0, 1))).max() < 6


@pytest.mark.parametrize(("strength", "factor"), [(1, 0.4), (3, 0.1), (4, 0)])
def test_saturation_in_hsv_is_scaled_at_the_same_hue_and_value(strength, factor, photograph):
    before, after = (
        reference.rgb2hsv(p)
        for p in (photograph, distort(photograph, "color_saturation_hsv", strength))
    )

    np.testing.assert_allclose(after[..., 2], before[..., 2], atol=1e-6)
    bright = before[..., 2] > 0.2
    np.testing.assert_allclose(
        after[..., 1][bright], factor * before[..., 1][bright], atol=0.5 / (255 * 0.2)
    )


def test_a_negative_saturation_is_the_opposite_hue():
    pixels = np.full((1, 1, 3), (150, 100, 100), np.uint8)

    # Red becomes cyan: 150 is 40 % of the 50 below it away from 150, on the other side.
    assert distort(pixels, "color_saturation_hsv", 5).tolist() == [[[150, 170, 170]]]


@pytest.mark.parametrize(("strength", "factor"), [(1, 1), (2, 2), (3.5, math.sqrt(18)), (5, 9)])
def test_saturation_in_lab_multiplies_color_and_keeps_lightness(strength, factor):
    pixels = soft_colors()
    before, after = (
        reference.rgb2lab(p) for p in (pixels, distort(pixels, "color_saturation_lab", strength))
    )

    np.testing.assert_allclose(after[..., 0], before[..., 0], atol=0.5)
    np.testing.assert_allclose(after[..., 1:], factor * before[..., 1:], atol=0.8)


@pytest.mark.parametrize("strength", [1, 2, 3, 4, 5])
def test_jpeg_is_that_of_pillow_at_its_quality(strength, photograph):
    quality = (43, 36, 24, 7, 4)[strength - 1]
    expected = Image.open(io.BytesIO(encoded(photograph, "JPEG", quality=quality)))

    assert JPEG_QUALITY.at(strength) == pytest.approx(quality)
    np.testing.assert_array_equal(distort(photograph, "jpeg", strength), np.asarray(expected))


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_jpeg_2000_has_its_compression_ratio(strength, photograph):
    ratio = JPEG2000_RATIO.at(strength)
    options = {"quality_mode": "rates", "quality_layers": [ratio], "irreversible": True}
    file = encoded(photograph, "JPEG2000", **options)

    assert photograph.nbytes / len(file) == pytest.approx(ratio, rel=0.1)
    np.testing.assert_array_equal(
        distort(photograph, "jpeg2000", strength),
        np.asarray(Image.open(io.BytesIO(file))),
    )


@pytest.mark.parametrize(
    ("strength", "variance"), [(1, 0.001), (3, 0.003), (4.5, math.sqrt(0.005 * 0.01)), (5, 0.01)]
)
def test_white_noise_has_its_variance_in_each_channel_alone(strength, variance):
    noise = difference(distort(flat(), "white_noise", strength), flat()) / 255
    covariance = np.cov(noise.reshape(-1, 3).T)

    np.testing.assert_allclose(covariance, variance * np.eye(3), atol=0.03 * variance)
    assert abs(noise.mean()) < 0.001
    # White: neighbors know nothing of each other.
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 0.02 * variance


@pytest.mark.parametrize(("strength", "variance"), [(2, 0.0005), (5, 0.003)])
def test_white_noise_in_ycbcr_has_its_variance_there(strength, variance):
    noisy = distort(flat(), "white_noise_ycbcr", strength)
    coded = (reference.rgb2ycbcr(noisy) - reference.rgb2ycbcr(flat())) / 255  # video range
    covariance = np.cov(coded.reshape(-1, 3).T)

    np.testing.assert_allclose(covariance, variance * np.eye(3), atol=0.04 * variance)


@pytest.mark.parametrize(("strength", "share"), [(1, 0.001), (3, 0.01), (5, 0.03)])
def test_impulse_noise_hits_its_share_of_samples(strength, share):
    noisy = distort(flat(shape=(512, 512)), "impulse_noise", strength)

    assert set(np.unique(noisy)) == {0, 128, 255}
    for value in (0, 255):
        assert (noisy == value).mean() == pytest.approx(share / 2, rel=0.1)


def test_a_higher_strength_hits_the_same_samples_and_more():
    hit = [distort(flat(), "impulse_noise", strength) != 128 for strength in (2, 3.5, 5)]

    assert (hit[0] <= hit[1]).all()
    assert (hit[1] <= hit[2]).all()


@pytest.mark.parametrize("grey", [20, 120])
def test_multiplicative_noise_is_proportional_to_the_sample(grey):
    noise = difference(distort(flat(grey), "multiplicative_noise", 4), flat(grey))

    assert noise.std() == pytest.approx(grey * math.sqrt(0.02), rel=0.03)
    assert noise.mean() == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("kind", ["white_noise", "white_noise_ycbcr", "multiplicative_noise"])
def test_all_strengths_of_noise_scale_one_field(kind):
    weak, strong = (difference(distort(flat(), kind, s, seed=3), flat()) for s in (2, 4))
    ratio = strong.std() / weak.std()

    assert np.abs(strong - ratio * weak).max() <= 1.2 * (ratio + 1) / 2 + 0.5


def test_denoising_takes_noise_away_and_texture_with_it():
    noise, rest = (
        difference(distort(flat(), kind, 4), flat()).std() for kind in ("white_noise", "denoise")
    )
    stripes = flat()
    stripes[:, ::2] = 150
    left = distort(stripes, "denoise", 4).astype(float).mean((0, 2))

    assert rest < 0.15 * noise
    assert left[::2].mean() - left[1::2].mean() < 0.2 * 22


def test_denoising_keeps_a_strong_edge():
    pixels = flat(30, (64, 64))
    pixels[:, 32:] = 220
    rows = distort(pixels, "denoise", 2).astype(float).mean((0, 2))

    assert rows[33] - rows[30] > 0.8 * 190


@pytest.mark.parametrize(
    ("kind", "moves"),
    [
        ("brighten", (0.05, 0.1, 0.2, 0.35, 0.5)),  # the last is clipped at 1
        ("darken", (-0.025, -0.05, -0.1, -0.2, -0.4)),
    ],
)
def test_the_middle_tone_moves_and_the_ends_stay(kind, moves):
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    for strength, move in enumerate(moves, 1):
        curve = distort(ramp, kind, strength)[0, :, 0].astype(float) / 255
        assert curve[127:129].mean() == pytest.approx(0.5 + move, abs=0.006)
        assert (curve[0], curve[255]) == (0, 1)
        assert (np.diff(curve) >= 0).all()


def test_the_mean_is_shifted_and_clipped():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    for strength, shift in enumerate((-0.15, -0.08, 0, 0.08, 0.15), 1):
        expected = np.clip(np.rint(ramp + 255 * shift), 0, 255)
        np.testing.assert_allclose(distort(ramp, "mean_shift", strength), expected, atol=1)


def test_contrast_runs_from_flat_to_steep():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    slopes = []
    for strength in range(1, 6):
        curve = distort(ramp, "contrast_change", strength)[0, :, 0].astype(float)
        assert (np.diff(curve) >= 0).all()
        assert (curve[0], curve[255]) == (0, 255)
        assert curve[127:129].mean() == pytest.approx(127.5, abs=0.6)
        slopes.append((curve[138] - curve[117]) / 21)
    np.testing.assert_allclose(slopes, (0.4, 0.6, 0.82, 1.5, 1.9), atol=0.06)


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_quantization_leaves_so_many_values_and_less_error_than_equal_steps(strength, photograph):
    distorted = distort(photograph, "quantization", strength)
    number = round(VALUES.at(strength))
    step = 255 / number
    equal = (np.floor(photograph / step).clip(0, number - 1) + 0.5) * step

    assert len(np.unique(distorted)) == number
    assert (difference(distorted, photograph) ** 2).mean() < ((equal - photograph) ** 2).mean()


def test_quantization_of_few_values_changes_nothing():
    pixels = np.array([[[0, 90, 255], [17, 90, 0]]], np.uint8)

    np.testing.assert_array_equal(distort(pixels, "quantization", 5), pixels)


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_jitter_moves_pixels_within_its_bound(strength):
    rows, columns = np.mgrid[:100, :120]
    ramps = np.stack([2 * rows, 2 * columns, 0 * rows], -1).astype(np.uint8)
    moved = difference(distort(ramps, "jitter", strength), ramps)[20:-20, 20:-20] / 2

    bound = PASSES * DISPLACEMENT.at(strength)
    assert np.abs(moved).max() <= bound + 0.26  # rounding is half a level, a quarter of a pixel
    # Five uniform draws; each blends neighbors that were moved apart.
    single = DISPLACEMENT.at(strength) / math.sqrt(3)
    assert 0.9 * single < moved[..., :2].std() < math.sqrt(PASSES) * single + 0.15


@pytest.mark.parametrize(("strength", "number"), [(1, 20), (2.5, 50), (5, 100)])
def test_patches_are_so_many_and_come_from_nearby(strength, number):
    pixels = pattern(*TABLED_SHAPE)
    patched = distort(pixels, "non_eccentricity_patch", strength)
    changed = (patched != pixels).any(-1)

    assert 0.85 * number * 256 < changed.sum() <= number * 256
    rows, columns = np.nonzero(changed)
    padded = np.pad(pixels, ((16, 16), (16, 16), (0, 0)), constant_values=0).astype(int)
    nearby = np.lib.stride_tricks.sliding_window_view(padded, (33, 33), axis=(0, 1))
    for row, column in list(zip(rows, columns, strict=True))[::997]:
        window = nearby[row, column]  # (3, 33, 33)
        same = (window == patched[row, column][:, np.newaxis, np.newaxis]).all(0)
        assert same.any()


@pytest.mark.parametrize(("strength", "number"), [(1, 2), (3, 6), (5, 10)])
def test_color_blocks_are_so_many_and_of_their_size(strength, number):
    shapes = []
    for seed in range(20):
        blocked = distort(flat(shape=TABLED_SHAPE), "color_block", strength, seed=seed)
        labels, count = ndimage.label((blocked != 128).any(-1))
        shapes.append(count)
        for own in ndimage.find_objects(labels):
            block = blocked[own]
            if block.shape == (32, 32, 3):  # else two overlap
                assert (block == block[0, 0]).all()
    # In most draws no two blocks touch.
    assert max(shapes) == number
    assert np.mean(shapes) > 0.8 * number


def test_a_block_grows_between_strengths_and_those_before_it_stay():
    two, three, four = (
        distort(flat(shape=TABLED_SHAPE), "color_block", strength, seed=1)
        for strength in (1, 1.25, 2)
    )
    areas = [(p != 128).any(-1).sum() for p in (two, three, four)]

    assert areas == [
        2 * 32**2,
        2 * 32**2 + 23**2,
        4 * 32**2,
    ]  # half a block has a side of 32 / sqrt 2
    for lower, higher in ((two, three), (three, four)):
        assert ((lower == 128).all(-1) | (lower == higher).all(-1)).mean() > 0.999


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_pixelation_repeats_rows_and_columns(strength, photograph):
    distorted = distort(photograph, "pixelate", strength)
    rows = 1 + (distorted[1:] != distorted[:-1]).any((1, 2)).sum()
    columns = 1 + (distorted[:, 1:] != distorted[:, :-1]).any((0, 2)).sum()

    share = 0.95 - (0.01, 0.05, 0.1, 0.2, 0.5)[strength - 1] ** 0.6
    assert REDUCTION.at(strength) == pytest.approx(share)
    assert (rows, columns) == (round(200 * share), round(256 * share))
    # Nearest: no color that was not there.
    assert set(map(tuple, distorted.reshape(-1, 3))) <= set(map(tuple, photograph.reshape(-1, 3)))


@pytest.mark.parametrize(("strength", "amount"), [(1, 1), (3, 3)])
def test_sharpening_adds_the_difference_from_a_blur_to_the_lightness(strength, amount):
    rows, columns = np.mgrid[:64, :96]
    grey = 128 + 12 * np.sin(columns / 3) + 3 * np.cos(rows / 4)
    pixels = np.stack([grey, grey - 20, grey - 30], -1).astype(np.uint8)
    before, after = (
        reference.rgb2lab(p) for p in (pixels, distort(pixels, "high_sharpen", strength))
    )
    blurred = ndimage.gaussian_filter(before[..., 0], 3)
    wanted = before[..., 0] + amount * (before[..., 0] - blurred)

    np.testing.assert_allclose(after[..., 0], wanted, atol=0.5)
    np.testing.assert_allclose(after[..., 1:], before[..., 1:], atol=1)


def test_every_tabled_kind_has_a_test_of_its_own():
    text = Path(__file__).read_text("utf-8")
    missing = [name for name, kind in KINDS.items() if kind.tabled and f'"{name}"' not in text]
    assert missing == []
