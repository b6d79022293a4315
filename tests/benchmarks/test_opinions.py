"""Estimates of opinions: the measures, the curve, and that the package has what was measured."""

import json

import numpy as np
import pytest
from scipy import stats
from skimage import data as photographs
from skimage.metrics import structural_similarity

from lifeiqa.data.distortions import KINDS, UNDISTORTED_OPINION, distort
from lifeiqa.data.distortions.values import LUMA
from lifeiqa_benchmarks.opinions import RESULTS, Curve, as_markdown, estimate, left_out
from lifeiqa_benchmarks.references import MEASURES, _ssim, mdsi, ms_ssim

RECORD = json.loads((RESULTS / "opinions.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def photograph():
    return photographs.coffee()[80:336, 150:450]


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_is_0_for_equal_images_and_rises_with_damage(name, photograph):
    found = [
        MEASURES[name](photograph, distort(photograph, "gaussian_blur", strength))
        for strength in (0, 3, 4, 5)
    ]

    assert found[0] == pytest.approx(0, abs=1e-6)
    assert all(np.diff(found) > 0.01), found


def test_mdsi_sees_color_and_multi_scale_ssim_does_not(photograph):
    # Red and blue moved so that the luma of BT.601 stays.
    moved = photograph.astype(float) + np.array([11.4, 0, -29.9])
    moved = np.clip(moved, 0, 255).round().astype(np.uint8)

    assert mdsi(photograph, moved) > 0.1
    assert ms_ssim(photograph, moved) < 0.03


def test_one_scale_of_ssim_is_that_of_scikit_image(photograph):
    first = photograph.astype(float) @ LUMA
    second = distort(photograph, "jpeg", 5).astype(float) @ LUMA
    luminance, structure = _ssim(first, second)
    expected = structural_similarity(
        first, second, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=255,
    )  # fmt: skip

    # Its mean leaves the edges out.
    assert (luminance * structure)[5:-5, 5:-5].mean() == pytest.approx(expected, abs=1e-3)


def test_a_curve_falls_and_starts_at_the_undistorted_image():
    generator = np.random.default_rng(0)
    distances = generator.uniform(0.1, 1, 60)
    opinions = 4.5 - 3 * distances + generator.normal(0, 0.3, 60)
    curve = Curve.fitted(distances, opinions)

    assert (np.diff(curve.distances) > 0).all()
    assert (np.diff(curve.opinions) < 0).all()
    assert curve.at(np.array([0.0]))[0] == UNDISTORTED_OPINION
    estimates = curve.at(distances)
    assert np.abs(estimates - (4.5 - 3 * distances)).mean() < 0.15


def test_a_kind_that_is_left_out_does_not_see_its_own_opinions():
    kinds = ["a"] * 5 + ["b"] * 5
    distances = np.array([0.1, 0.2, 0.3, 0.4, 0.5] * 2)
    opinions = np.array([4.4, 4, 3, 2, 1.5, 4.5, 4.4, 4.3, 4.2, 4.1])
    estimates = left_out(kinds, distances, opinions)

    np.testing.assert_allclose(estimates[:5], opinions[5:])
    np.testing.assert_allclose(estimates[5:], opinions[:5])


def test_the_record_follows_from_its_distances():
    found = estimate(RECORD["distances"])

    assert found == RECORD
    assert as_markdown(found) == (RESULTS / "opinions.md").read_text("utf-8")


def test_the_fit_is_good_enough_to_be_used():
    assert RECORD["cells"] == 125
    assert RECORD["fits"]["mdsi"]["srocc_left_out"] > 0.85
    tabled = [kind for kind in KINDS.values() if kind.tabled]
    people = [opinion for kind in tabled for opinion in kind.opinions]
    estimates = [estimate for kind in tabled for estimate in RECORD["left_out"][kind.name]]
    assert stats.spearmanr(people, estimates).statistic == pytest.approx(
        RECORD["fits"]["mdsi"]["srocc_left_out"], abs=2e-3
    )


def test_the_package_has_the_estimates_of_the_record():
    estimated = {name: list(kind.opinions) for name, kind in KINDS.items() if kind.estimated}

    assert estimated == RECORD["estimates"]
    error = RECORD["fits"]["mdsi"]["rmse_left_out"]
    assert all(kind.spread == (round(error, 2),) * 5 for kind in KINDS.values() if kind.estimated)


@pytest.mark.parametrize("name", ["webp", "haze", "jpeg", "jitter"])
def test_the_distances_are_those_of_the_distortions_as_they_are(name):
    """One image of the five, so that a changed parameter is noticed without measuring all."""
    image = photographs.chelsea()
    found = [mdsi(image, distort(image, name, s, seed=1)) for s in (1, 3, 5)]
    recorded = [RECORD["distances"][name]["mdsi"][s - 1] for s in (1, 3, 5)]

    assert stats.spearmanr(found, recorded).statistic == pytest.approx(1)
    np.testing.assert_allclose(found, recorded, atol=0.08)
