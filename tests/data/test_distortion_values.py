"""The filters and color spaces of the distortions, against other people's."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import color as reference

from helpers.raster import pattern
from lifeiqa.data.distortions import colorspace, values


@pytest.fixture
def image():
    return np.random.default_rng(0).random((31, 44, 3), dtype=np.float32)


def test_every_sample_survives_the_way_to_a_value_and_back():
    samples = np.arange(256, dtype=np.uint8)

    np.testing.assert_array_equal(
        values.pixels_from_values(values.values_from_pixels(samples)), samples
    )


def test_what_lies_outside_is_clipped_and_halves_are_rounded():
    found = values.pixels_from_values(np.array([-9, -0.001, 0.5, 1, 1.7, 100.4 / 255], np.float32))

    assert found.tolist() == [0, 0, 128, 255, 255, 100]


def test_a_table_maps_each_sample():
    goals = np.arange(256)[::-1] - 40  # from 215 down to -40, which is clipped
    pixels = pattern(5, 6)

    np.testing.assert_array_equal(
        values.pixels_from_table(pixels, goals / 255), np.maximum(goals, 0)[pixels]
    )


@pytest.mark.parametrize("sigma", [0.5, 1.9, 2, 3.5, 8])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_a_gaussian_is_that_of_scipy_with_mirrored_edges(sigma, channels, image):
    chosen = image[..., 0] if channels is None else image[..., :channels]
    sigmas = (sigma, sigma, 0)[: chosen.ndim]
    expected = ndimage.gaussian_filter(chosen.astype(float), sigmas, truncate=6)

    np.testing.assert_allclose(values.gaussian(chosen, sigma), expected, atol=2e-3)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 9)])
def test_a_convolution_is_that_of_scipy_with_mirrored_edges(shape, image):
    kernel = np.random.default_rng(1).random(shape, dtype=np.float32)
    expected = np.stack([ndimage.convolve(image[..., c], kernel) for c in range(3)], -1)

    np.testing.assert_allclose(values.convolved(image, kernel), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 7)])
def test_a_kernel_may_be_larger_than_the_image(shape, image):
    small = image[: shape[0], : shape[1]]
    kernel = np.full((17, 17), 1 / 289, np.float32)
    # ndimage.convolve reads beyond such an image (SciPy 1.17): mirrored by hand instead.
    whole = np.pad(small, ((8, 8), (8, 8), (0, 0)), mode="symmetric")
    expected = np.empty(small.shape)
    for row, column in np.ndindex(shape):
        expected[row, column] = whole[row : row + 17, column : column + 17].mean((0, 1))

    np.testing.assert_allclose(values.convolved(small, kernel), expected, atol=1e-5)


def test_a_warp_is_linear_interpolation_with_held_edges(image):
    rows, columns = 4 * np.random.default_rng(2).standard_normal((2, 31, 44)).astype(np.float32)
    grid = np.mgrid[:31, :44] + (rows, columns)
    expected = np.stack(
        [ndimage.map_coordinates(image[..., c], grid, order=1, mode="nearest") for c in range(3)],
        -1,
    )

    np.testing.assert_allclose(values.warped(image, rows, columns), expected, atol=2e-5)


@pytest.mark.parametrize("shape", [(8, 10), (7, 9)])
def test_demosaicing_averages_the_neighbors_that_the_mosaic_keeps(shape):
    image = np.random.default_rng(3).random((*shape, 3), dtype=np.float32)
    found = values.demosaiced(image)

    # Red sites are even in row and column, blue ones odd, green ones one of each.
    np.testing.assert_allclose(found[2, 4, 0], image[2, 4, 0])
    np.testing.assert_allclose(found[2, 5, 0], (image[2, 4, 0] + image[2, 6, 0]) / 2, rtol=1e-5)
    around = [image[r, c, 0] for r in (2, 4) for c in (4, 6)]
    np.testing.assert_allclose(found[3, 5, 0], np.mean(around), rtol=1e-5)
    np.testing.assert_allclose(found[3, 5, 2], image[3, 5, 2])
    np.testing.assert_allclose(found[2, 5, 1], image[2, 5, 1])
    cross = [image[r, c, 1] for r, c in ((3, 4), (3, 6), (2, 5), (4, 5))]
    np.testing.assert_allclose(found[3, 5, 1], np.mean(cross), rtol=1e-5)
    np.testing.assert_allclose(
        values.demosaiced(np.ones_like(image)), np.ones_like(image), rtol=1e-6
    )


def test_lab_is_that_of_scikit_image():
    pixels = pattern(40, 50)

    np.testing.assert_allclose(
        colorspace.lab_from_pixels(pixels), reference.rgb2lab(pixels), atol=0.15
    )


def test_every_color_survives_the_way_to_lab_and_back():
    steps = np.arange(0, 256, 5, dtype=np.uint8)
    pixels = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 1, 3)
    back = colorspace.pixels_from_lab(colorspace.lab_from_pixels(pixels))

    assert np.abs(back.astype(int) - pixels).max() <= 1
    assert (back == pixels).mean() > 0.99


def test_every_sample_survives_the_way_to_light_and_back():
    samples = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, -1)

    np.testing.assert_array_equal(
        colorspace.pixels_from_linear(colorspace.linear_from_pixels(samples)), samples
    )
