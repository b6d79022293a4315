"""Kinds of distortion without a table of opinions: each does what its name says."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage import data as photographs

from helpers.raster import encoded, pattern
from lifeiqa.data.distortions import distort
from lifeiqa.data.distortions.capture import (
    AIRLIGHT,
    CORNER_STOPS,
    OVER_STOPS,
    PHOTON_VARIANCE,
    READ_SHARE,
    TRANSMISSION,
    UNDER_STOPS,
)
from lifeiqa.data.distortions.compression import AVIF_QUALITY, WEBP_QUALITY
from lifeiqa.data.distortions.delivery import BAND, COMB, CUTOFF


@pytest.fixture(scope="module")
def photograph():
    return photographs.coffee()[100:300, 180:436]


def flat(grey=128, shape=(256, 256)):
    return np.full((*shape, 3), grey, np.uint8)


def gradient(shape=(128, 256)):
    """A smooth ramp from left to right, dithered so that it has no steps of its own."""
    ramp = np.linspace(60, 200, shape[1]) + np.random.default_rng(0).random(shape)
    return ramp[..., np.newaxis].repeat(3, -1).astype(np.uint8)


def edge():
    pixels = flat(60, (64, 128))
    pixels[:, 64:] = 190
    return pixels


def light(pixels):
    """sRGB samples -> light in [0, 1] (IEC 61966-2-1)."""
    coded = np.asarray(pixels) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_webp_and_avif_are_those_of_pillow_at_their_quality(strength, photograph):
    webp = encoded(photograph, "WEBP", quality=round(WEBP_QUALITY.at(strength)), method=2)
    np.testing.assert_array_equal(
        distort(photograph, "webp", strength), np.asarray(Image.open(io.BytesIO(webp)))
    )
    quality = round(AVIF_QUALITY.at(strength))
    avif = encoded(photograph, "AVIF", quality=quality, speed=9, max_threads=1)
    np.testing.assert_array_equal(
        distort(photograph, "avif", strength), np.asarray(Image.open(io.BytesIO(avif)))
    )


@pytest.mark.parametrize("strength", [1, 3])
def test_overexposure_multiplies_light_and_clips(strength):
    gain = 2 ** OVER_STOPS.at(strength)
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    wanted = np.minimum(gain * light(pixels), 1)

    np.testing.assert_allclose(light(distort(pixels, "overexposure", strength)), wanted, atol=0.006)


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_underexposure_divides_light_and_loses_the_dark(strength):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, 2)
    dark = distort(pixels, "underexposure", strength)[0, :, 0]

    assert light(dark[255]) == pytest.approx(2 ** -UNDER_STOPS.at(strength), abs=0.005)
    lost = (dark == 0).sum()
    assert lost == pytest.approx(
        (light(np.arange(256)) * 2 ** -UNDER_STOPS.at(strength) < 0.0022).sum(), abs=2
    )
    assert (np.diff(dark.astype(int)) >= 0).all()


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_vignetting_darkens_the_corners_and_spares_the_middle(strength):
    pixels = flat(200, (201, 301))
    dark = distort(pixels, "vignetting", strength)

    np.testing.assert_array_equal(dark[100, 150], pixels[0, 0])
    loss = light(dark[0, 0]) / light(200)
    np.testing.assert_allclose(loss, 2 ** -CORNER_STOPS.at(strength), rtol=0.06)
    np.testing.assert_array_equal(dark, dark[::-1, ::-1])


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_haze_takes_contrast_and_adds_its_own_light(strength):
    pixels = flat(0, (96, 96))
    pixels[:, ::2] = 255
    hazy = light(distort(pixels, "haze", strength))
    contrast = hazy[:, ::2] - hazy[:, 1::2]  # light of white less that of black

    through = TRANSMISSION.at(strength)
    assert through**1.3 - 0.02 <= contrast.min() <= contrast.max() <= through**0.7 + 0.02
    veil = hazy[:, 1::2].mean((0, 1)) / (1 - contrast.mean((0, 1)))
    np.testing.assert_allclose(veil, AIRLIGHT, atol=0.03)


@pytest.mark.parametrize("strength", [2, 4])
def test_sensor_noise_has_a_variance_that_is_a_line_in_the_light(strength):
    white = PHOTON_VARIANCE.at(strength)
    for grey in (90, 150, 190):
        noisy = light(distort(flat(grey), "sensor_noise", strength))
        # At its own sites of the mosaic a channel's noise is not averaged yet.
        own = noisy[::2, ::2, 0]
        assert own.var() == pytest.approx(white * (light(grey) + READ_SHARE), rel=0.06)
        assert own.mean() == pytest.approx(light(grey), rel=0.03)


def test_sensor_noise_is_spread_by_demosaicing():
    noise = distort(flat(), "sensor_noise", 3).astype(float) - 128
    red = noise[..., 0]
    next_to_each_other = np.corrcoef(red[:, 1:].ravel(), red[:, :-1].ravel())[0, 1]
    far_apart = np.corrcoef(red[:, 5:].ravel(), red[:, :-5].ravel())[0, 1]

    assert next_to_each_other > 0.4
    assert abs(far_apart) < 0.05


def test_resampling_loses_detail_and_keeps_the_mean(photograph):
    detail = []
    for strength in (0, 1, 3, 5):
        pixels = distort(photograph, "resampling", strength, seed=2).astype(float)
        detail.append((pixels - ndimage.gaussian_filter(pixels, (3, 3, 0))).std())
        np.testing.assert_allclose(pixels.mean((0, 1)), photograph.mean((0, 1)), atol=1.5)

    assert all(np.diff(detail) < 0), detail


@pytest.mark.parametrize("strength", [2, 4])
def test_banding_makes_steps_of_smooth_gradients(strength):
    pixels = gradient()
    height = 255 * BAND.at(strength)
    before, after = (
        np.abs((p[40:-40, 8:-8, 0] / height + 0.5) % 1 - 0.5) * height  # distance from a step
        for p in (pixels, distort(pixels, "banding", strength))
    )

    assert (after < 1.5).mean() > 0.98
    assert (before < 1.5).mean() < 0.45


def test_banding_leaves_texture_alone():
    pixels = pattern(64, 64)

    np.testing.assert_array_equal(distort(pixels, "banding", 5), pixels)


def test_a_photograph_of_a_screen_has_fringes_of_every_color():
    pixels = flat(128, (256, 256))
    fringed = distort(pixels, "screen_photo", 5, seed=1).astype(float)
    fringed -= fringed.mean((0, 1))
    spectra = [np.abs(np.fft.rfft2(fringed[..., channel])) ** 2 for channel in range(3)]

    luma = fringed.mean(-1)
    assert fringed.std() > 15
    assert luma.std() < 0.6 * fringed.std()  # the colors are out of step
    for spectrum in spectra:
        row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
        frequency = np.hypot(min(row, 256 - row), column) / 256
        assert 1 / 17 < frequency < 1 / 5


@pytest.mark.parametrize("strength", [2, 5])
def test_chroma_bleeding_keeps_luma_and_smears_color(strength):
    pixels = flat(100, (64, 96))
    pixels[:, 48:] = (180, 80, 60)
    bled = distort(pixels, "chroma_bleeding", strength)
    before, after = (
        np.asarray(Image.fromarray(p).convert("YCbCr")).astype(float) for p in (pixels, bled)
    )

    np.testing.assert_allclose(after[..., 0], before[..., 0], atol=2)
    assert np.abs(after[..., 1:] - before[..., 1:]).max() > 8
    # It runs to the right: the new color arrives late.
    assert after[:, 48:52, 2].mean() < before[:, 48:52, 2].mean() - 8


@pytest.mark.parametrize("strength", [1, 3, 5])
def test_interlacing_moves_every_second_line(strength):
    pixels = edge()
    combed = distort(pixels, "interlacing", strength, seed=0)

    np.testing.assert_array_equal(combed[::2], pixels[::2])
    moved = (combed[1::2].astype(float) - pixels[1::2])[..., 0].sum(1) / 130
    np.testing.assert_allclose(np.abs(moved), COMB.at(strength), atol=0.02)
    assert len(np.unique(np.sign(moved))) == 1


@pytest.mark.parametrize("strength", [2, 3, 4])
def test_ringing_overshoots_and_waves_beside_an_edge(strength):
    row = distort(edge(), "ringing", strength)[32, :, 0].astype(float)

    # A sharp low-pass overshoots a step by about 9 %.
    assert 0.06 * 130 < row.max() - 190 < 0.12 * 130
    waves = (row[68:124] - 190) * np.hanning(56)
    frequency = np.abs(np.fft.rfft(waves, 1024)).argmax() / 1024
    assert frequency == pytest.approx(CUTOFF.at(strength), rel=0.15)


def test_a_halo_is_bright_and_dark_along_an_edge_and_fades():
    row = distort(edge(), "halo", 2)[32, :, 0].astype(float)

    assert row[65] > 190 + 30
    assert row[62] < 60 - 30
    assert abs(row[5] - 60) < 2
