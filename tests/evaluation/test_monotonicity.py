"""Monotonicity: an image that is distorted more and more must score worse and worse."""

import json
import math

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from helpers import tiny
from helpers.raster import encoded, pattern
from lifeiqa.config import Labels
from lifeiqa.data.distortions import KINDS as ALL_KINDS
from lifeiqa.data.distortions import LEVELS, distort, mean_opinion
from lifeiqa.data.distortions.scale import reduced
from lifeiqa.errors import ConfigError, ImageError
from lifeiqa.evaluation.monotonicity import KINDS, Monotonicity, Offender, measure_monotonicity
from lifeiqa.scorer import Scorer


class Meter:
    """A session that measures a crop by a function of its samples."""

    runtime = "ruler"

    def __init__(self, measure, direction="higher"):
        labels = Labels(dataset="ruler", low=0, high=255, direction=direction)
        self.manifest = tiny.manifest(name="meter", labels=labels)
        self.measure = measure

    def run(self, crops):
        return np.array([self.measure(crop) for crop in crops], dtype=np.float32)


def light(crop):
    return crop.mean()


def spread(crop):
    return crop.std()


@pytest.fixture
def images(tmp_path):
    """Two images of noise, in color."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, shape in zip(paths, [(40, 50), (64, 33)], strict=True):
        path.write_bytes(encoded(pattern(*shape), "PNG"))
    return paths


def by_hand(*series, direction="higher", kinds=("lens_blur", "white_noise")):
    """One image for every ``len(kinds)`` series of scores at strengths 0 to 5."""
    scores = np.array(series, float).reshape(-1, len(kinds), 6)
    names = tuple(f"{place}.png" for place in range(len(scores)))
    return Monotonicity("hand", direction, names, kinds, scores)


FALLING = (9, 8, 5, 4, 1, 0)
RISING = FALLING[::-1]
FLAT_ONCE = (9, 8, 8, 4, 1, 0)
UP_ONCE = (9, 8, 5, 6, 1, 0)


def test_a_series_is_monotone_when_every_step_falls():
    found = by_hand(FALLING, FLAT_ONCE, FALLING, UP_ONCE)

    assert found.monotone == 2 / 4
    assert found.of("lens_blur").monotone == 1
    assert found.of("white_noise").monotone == 0


def test_the_step_from_the_undistorted_image_does_not_break_a_series():
    assert by_hand((7, 8, 5, 4, 1, 0), FALLING).monotone == 1


def test_kinds_that_do_not_get_worse_with_every_strength_have_no_series():
    kinds = ("mean_shift", "lens_blur", "contrast_change")
    found = by_hand(UP_ONCE, FALLING, UP_ONCE, kinds=kinds)

    assert found.series.shape == (1, 1)
    assert found.monotone == 1
    assert math.isnan(found.of("mean_shift").monotone)


def test_steps_count_where_the_opinion_falls_by_three_tenths():
    # White noise: 4.60 -> 3.89 -> 3.39 -> 3.05 -> 2.71 -> 2.30, each a clear fall. Lens blur: 4.60
    # -> 3.86 -> 2.65 -> 1.76 -> 1.44 -> 1.30, each but the last.
    found = by_hand((9, 8, 5, 4, 1, 1), FLAT_ONCE)

    assert found.of("lens_blur").clear_falls.tolist() == [True] * 4
    assert found.of("white_noise").clear_falls.tolist() == [True, False, True, True, True]
    assert found.falling == 8 / 9


def test_where_lower_is_better_a_step_falls_when_the_score_rises():
    found = by_hand(RISING, FALLING, direction="lower")

    assert found.of("lens_blur").monotone == 1
    assert found.of("lens_blur").srocc == pytest.approx(1)
    assert found.of("white_noise").falling == 0
    assert found.of("white_noise").srocc == pytest.approx(-1)


def test_a_score_that_is_no_number_never_falls():
    assert by_hand((9, np.nan, 5, 4, 1, 0), FALLING).of("lens_blur").falling == 2 / 4


def test_srocc_is_that_of_scores_and_opinions_over_images_kinds_and_strengths():
    found = by_hand(FALLING, FLAT_ONCE, UP_ONCE, RISING)

    expected = [mean_opinion(kind, s) for kind in found.kinds for s in range(1, 6)] * 2
    scores = found.scores[..., 1:].ravel()
    assert found.srocc == pytest.approx(stats.spearmanr(scores, expected).statistic)


def test_kinds_that_nobody_scored_have_series_and_no_comparison_with_opinions():
    found = by_hand(FALLING, FALLING, kinds=("haze", "lens_blur"))

    assert np.isnan(found.opinions[0]).all()
    assert found.monotone == 1
    assert found.clear_falls.size == 4
    assert found.srocc == pytest.approx(1)
    assert math.isnan(found.of("haze").srocc)
    assert math.isnan(found.of("haze").falling)


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_ruined_images_are_listed_with_the_best_score_first(direction):
    # At strength 5 people give lens blur 1.30 and white noise 2.30: only the first is a ruin.
    best, worst = (8, 0) if direction == "higher" else (0, 8)
    found = by_hand(
        (9, 8, 7, 6, 5, worst), (9, 8, 7, 6, 5, best), (9, 8, 7, 6, 5, best), FALLING,
        direction=direction,
    )  # fmt: skip

    assert found.ruined == [
        Offender("1.png", "lens_blur", best, 9), Offender("0.png", "lens_blur", worst, 9),
    ]  # fmt: skip


def test_the_record_for_machines_holds_shares_mean_scores_and_offenders():
    record = by_hand(FALLING, FLAT_ONCE, FALLING, UP_ONCE).to_dict()

    assert json.loads(json.dumps(record, allow_nan=False)) == record
    kinds = record.pop("kinds")
    srocc, ruined = record.pop("srocc"), record.pop("ruined")
    assert record == {
        "model": "hand",
        "direction": "higher",
        "seed": 0,
        "short_side": 384,
        "images": 2,
        "series": 4,
        "monotone": 0.5,
        "clear_steps": 18,
        "falling": 16 / 18,
    }
    assert 0.8 < srocc < 1
    assert [(bad["image"], bad["kind"], bad["score"]) for bad in ruined] == [
        ("0.png", "lens_blur", 0), ("1.png", "lens_blur", 0),
    ]  # fmt: skip
    assert kinds["lens_blur"]["monotone"] == 1
    assert kinds["white_noise"]["falling"] == 8 / 10
    assert kinds["white_noise"]["mean_scores"] == [9, 8, 6.5, 5, 1, 0]
    assert kinds["white_noise"]["opinions"] == [4.6, 3.89, 3.39, 3.05, 2.71, 2.3]


def test_what_is_not_defined_is_null_in_the_record():
    record = by_hand(FALLING, kinds=("haze",)).to_dict()

    assert record["srocc"] is record["falling"] is None
    assert record["kinds"]["haze"]["opinions"] == [None] * 6
    assert record["ruined"] == []


def test_the_table_has_a_row_for_each_kind_and_one_for_all():
    found = by_hand(FALLING, FLAT_ONCE)
    headline, header, blur, noise, together, heading, ruined = str(found).splitlines()

    assert headline.startswith("hand: monotonic in 1 of 2 series of an image and a distortion")
    assert header.split()[:3] == ["monotone", "falling", "SROCC"]
    means = ["9.0000", "8.0000", "5.0000", "4.0000", "1.0000", "0.0000"]
    assert blur.split() == ["lens_blur", "1.000", "1.000", "1.000", *means]
    assert noise.split()[:3] == ["white_noise", "0.000", "0.800"]
    assert together.split()[:3] == ["all", "0.500", "0.889"]
    assert "ruined" in heading
    assert ruined.split() == ["0.0000", "(undistorted", "9.0000)", "lens_blur", "0.png"]


def test_a_name_that_steers_the_terminal_is_printed_harmlessly():
    found = Monotonicity(
        "hand", "higher", ("\x1b[2J.png",), ("lens_blur",), np.array([[FALLING]], float)
    )

    assert "\x1b" not in str(found)


def test_the_25_kinds_that_people_scored_are_measured_by_default():
    assert len(KINDS) == 25
    assert all(ALL_KINDS[kind].tabled for kind in KINDS)


def test_a_meter_of_light_sees_darkness_and_no_brightness(images):
    found = measure_monotonicity(Scorer(Meter(light)), images, ["darken", "brighten"])

    assert found.of("darken").monotone == 1
    assert found.of("brighten").monotone == 0


@pytest.mark.parametrize(("direction", "share"), [("higher", 1), ("lower", 0)])
def test_the_direction_of_the_model_decides_what_is_worse(images, direction, share):
    found = measure_monotonicity(Scorer(Meter(spread, direction)), images, ["haze", "lens_blur"])

    assert found.direction == direction
    assert found.monotone == share


def test_loss_of_color_of_a_grey_image_is_no_fall(tmp_path):
    path = tiny.write_image(tmp_path / "grey.png", 90)

    found = measure_monotonicity(Scorer(Meter(spread)), [path], ["color_saturation_hsv"])
    assert not found.falls.any()


def test_every_score_is_that_of_the_image_distorted_by_hand(images):
    kinds = ("white_noise", "jitter", "haze", "mean_shift")
    scorer = Scorer(Meter(spread))
    found = measure_monotonicity(scorer, images, kinds, seed=3)

    assert found.kinds == kinds
    assert found.images == ("a.png", "b.png")
    assert found.seed == 3
    assert found.scores.shape == (2, len(kinds), LEVELS + 1)
    for row, pixels in enumerate((pattern(40, 50), pattern(64, 33))):
        for column, kind in enumerate(kinds):
            for strength in range(LEVELS + 1):
                distorted = distort(pixels, kind, strength, seed=3)
                assert found.scores[row, column, strength] == scorer.score(distorted).value


@pytest.mark.parametrize(("short_side", "shape"), [(None, (80, 120)), (40, (40, 60))])
def test_large_images_are_reduced_before_they_are_distorted(short_side, shape, tmp_path):
    path = tmp_path / "large.png"
    Image.fromarray(pattern(80, 120)).save(path)
    scorer = Scorer(Meter(spread))
    found = measure_monotonicity(scorer, [path], ["lens_blur"], short_side=short_side)

    pixels = reduced(pattern(80, 120), short_side or 80)
    assert pixels.shape[:2] == shape
    assert found.short_side == short_side
    assert found.scores[0, 0, 4] == scorer.score(distort(pixels, "lens_blur", 4)).value


def test_progress_names_each_image(images):
    lines = []
    measure_monotonicity(Scorer(Meter(light)), images, ["darken"], progress=lines.append)

    assert lines == [f"1 of 2: {images[0]}", f"2 of 2: {images[1]}"]


@pytest.mark.parametrize("kinds", [[], ["darken", "darken"], ["fog"], ["darken", ""]])
def test_kinds_that_cannot_be_measured_are_refused(images, kinds):
    with pytest.raises(ConfigError) as refused:
        measure_monotonicity(Scorer(Meter(light)), images, kinds)

    assert all(kind in str(refused.value) for kind in ALL_KINDS)


def test_no_image_is_refused():
    with pytest.raises(ConfigError, match="no image to distort"):
        measure_monotonicity(Scorer(Meter(light)), [])


def test_a_damaged_image_is_named(images):
    images[1].write_text("dear diary")

    with pytest.raises(ImageError, match=r"b\.png"):
        measure_monotonicity(Scorer(Meter(light)), images, ["darken"])
