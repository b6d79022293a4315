"""Sense: an image that is distorted more and more must score worse and worse."""

import numpy as np
import pytest

from helpers import tiny
from helpers.raster import encoded, pattern
from lifeiqa.config import Labels
from lifeiqa.data.distortions import LEVELS, STRENGTHS, distort
from lifeiqa.errors import ConfigError, ImageError
from lifeiqa.evaluation.sense import KINDS, Sense, sense
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
    """Two images of noise, in colour."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, shape in zip(paths, [(40, 50), (64, 33)], strict=True):
        path.write_bytes(encoded(pattern(*shape), "PNG"))
    return paths


def by_hand(*pairs, direction="higher", kinds=("blur", "noise")):
    """A `Sense` of one image for each two pairs, from the scores at levels 0 to 5."""
    return Sense("hand", direction, kinds, np.array(pairs, float).reshape(-1, len(kinds), 6))


FALLING = (9, 8, 5, 4, 1, 0)
RISING = FALLING[::-1]
FLAT_ONCE = (9, 8, 8, 4, 1, 0)
UP_ONCE = (9, 8, 5, 6, 1, 0)


def test_a_pair_is_monotone_when_every_step_falls():
    found = by_hand(FALLING, FLAT_ONCE, FALLING, UP_ONCE)

    assert found.monotone == 2 / 4
    assert found.falling == 18 / 20
    assert (found.of("blur").monotone, found.of("blur").falling) == (1, 1)
    assert (found.of("noise").monotone, found.of("noise").falling) == (0, 8 / 10)


def test_where_lower_is_better_a_step_falls_when_the_score_rises():
    found = by_hand(RISING, FALLING, direction="lower")

    assert found.of("blur").monotone == 1
    assert found.of("noise").falling == 0


def test_a_score_that_is_no_number_never_falls():
    assert by_hand((9, np.nan, 5, 4, 1, 0), FALLING).of("blur").falling == 3 / 5


def test_the_record_for_machines_holds_shares_and_mean_scores():
    record = by_hand(FALLING, FLAT_ONCE, FALLING, UP_ONCE).to_dict()

    assert record == {
        "model": "hand",
        "direction": "higher",
        "seed": 0,
        "images": 2,
        "pairs": 4,
        "monotone": 0.5,
        "steps": 20,
        "falling": 0.9,
        "kinds": {
            "blur": {"monotone": 1.0, "falling": 1.0, "mean_scores": [9, 8, 5, 4, 1, 0]},
            "noise": {"monotone": 0.0, "falling": 0.8, "mean_scores": [9, 8, 6.5, 5, 1, 0]},
        },
    }


def test_the_table_has_a_row_for_each_kind_and_one_for_all():
    headline, header, blur, noise, together = str(by_hand(FALLING, FLAT_ONCE)).splitlines()

    assert headline.startswith("hand: 1 of 2 pairs of 1 images with 2 distortions")
    assert header.split()[:2] == ["monotone", "steps"]
    means = ["9.0000", "8.0000", "5.0000", "4.0000", "1.0000", "0.0000"]
    assert blur.split() == ["blur", "1.000", "1.000", *means]
    assert noise.split()[:3] == ["noise", "0.000", "0.800"]
    assert together.split() == ["all", "0.500", "0.900"]


def test_a_meter_of_light_sees_darkness_and_no_loss_of_contrast(images):
    found = sense(Scorer(Meter(light)), images, ["darken", "contrast"])

    assert found.of("darken").monotone == 1
    assert found.of("contrast").monotone == 0


@pytest.mark.parametrize(("direction", "share"), [("higher", 1), ("lower", 0)])
def test_the_direction_of_the_model_decides_what_is_worse(images, direction, share):
    found = sense(Scorer(Meter(spread, direction)), images, ["contrast", "darken"])

    assert found.direction == direction
    assert found.monotone == found.falling == share


def test_colour_loss_of_a_grey_image_is_no_fall(tmp_path):
    path = tiny.write_image(tmp_path / "grey.png", 90)

    assert sense(Scorer(Meter(spread)), [path], ["colour"]).falling == 0


def test_every_score_is_that_of_the_image_distorted_by_hand(images):
    scorer = Scorer(Meter(spread))
    found = sense(scorer, images, seed=3)

    assert found.kinds == KINDS
    assert found.seed == 3
    assert found.scores.shape == (2, len(KINDS), LEVELS + 1)
    for row, pixels in enumerate((pattern(40, 50), pattern(64, 33))):
        for column, kind in enumerate(KINDS):
            for level in range(LEVELS + 1):
                distorted = distort(pixels, kind, level, seed=3)
                assert found.scores[row, column, level] == scorer.score(distorted).value


def test_progress_names_each_image(images):
    lines = []
    sense(Scorer(Meter(light)), images, ["darken"], report=lines.append)

    assert lines == [f"1 of 2: {images[0]}", f"2 of 2: {images[1]}"]


@pytest.mark.parametrize("kinds", [[], ["blur", "blur"], ["fog"], ["blur", ""]])
def test_kinds_that_cannot_be_measured_are_refused(images, kinds):
    with pytest.raises(ConfigError) as refused:
        sense(Scorer(Meter(light)), images, kinds)

    assert all(kind in str(refused.value) for kind in STRENGTHS)


def test_no_image_is_refused():
    with pytest.raises(ConfigError, match="no image to distort"):
        sense(Scorer(Meter(light)), [])


def test_a_damaged_image_is_named(images):
    images[1].write_text("dear diary")

    with pytest.raises(ImageError, match=r"b\.png"):
        sense(Scorer(Meter(light)), images, ["darken"])
