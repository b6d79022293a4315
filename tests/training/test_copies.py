"""Distorted copies: which are drawn, what severity leaves of a score, and how they are stored."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from lifeiqa.config import Labels, Preprocessing
from lifeiqa.data.distortions import KINDS, mean_opinion
from lifeiqa.preprocess.crops import crops_from_pixels
from lifeiqa.preprocess.decode import decode
from lifeiqa.training.copies import (
    SIDES,
    StoredCrops,
    copies_of,
    kinds_learned,
    pair_of,
    qualities,
    ruin_of,
    seed_of_pair,
)
from lifeiqa.training.recipe import Phase, Recipe

FED = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3, short_side=64, crops="center")
HELD_OUT = ("jpeg", "lens_blur", "jitter")


def recipe(**changes):
    return Recipe(phases=(Phase(name="joint", epochs=1, lr=1.0),), **changes)


def pairs(count=3000, **changes):
    return [pair_of(seed, recipe(**changes)) for seed in range(count)]


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(photographs.chelsea()[:, :300]).save(path)  # 300 x 300
    return path


def test_every_kind_is_drawn_but_those_held_out():
    drawn = {pair.kind for pair in pairs(held_out=HELD_OUT)}

    assert drawn == set(KINDS) - set(HELD_OUT) == set(kinds_learned(recipe(held_out=HELD_OUT)))


def test_what_lies_below_a_composed_pair_is_neither_held_out_nor_the_same_kind():
    drawn = [pair for pair in pairs(held_out=HELD_OUT, composed=0.5) if pair.below]

    assert 0.45 < len(drawn) / 3000 < 0.55
    assert all(pair.below[0] not in (*HELD_OUT, pair.kind) for pair in drawn)
    assert all(0 <= pair.below[1] <= 3 for pair in drawn)
    assert not any(pair.below for pair in pairs(100))


def test_strengths_are_continuous_and_mild_ones_are_frequent():
    strengths = np.array([sorted(pair.strengths) for pair in pairs()])
    milder, stronger = strengths.T

    assert 0.2 < (milder == 0).mean() < 0.3
    assert stronger.min() >= 0.25
    assert stronger.max() <= 5
    assert abs(stronger.mean() - 2.625) < 0.1
    assert (strengths < 1.5).mean() > 0.4
    assert len(np.unique(stronger)) == 3000


def test_the_better_copy_comes_first_by_what_people_think():
    for pair in pairs(composed=0.3):
        if KINDS[pair.kind].opinions is None:
            assert np.isnan(pair.quality).all()
            assert pair.strengths[0] < pair.strengths[1]
        else:
            better, worse = pair.quality
            assert 0 <= worse <= better <= 1
    turned = [pair for pair in pairs() if pair.strengths[0] > pair.strengths[1]]
    assert {pair.kind for pair in turned} >= {"mean_shift", "contrast_change"}


def test_quality_is_the_table_and_of_two_kinds_the_product():
    for pair in pairs(300, composed=0.5):
        if KINDS[pair.kind].opinions is None:
            continue
        done = [[(pair.kind, strength)] for strength in pair.strengths]
        expected = []
        for one in done:
            left = 1.0
            for kind, strength in [*one, *([pair.below] if pair.below else [])]:
                left *= min(1.0, (mean_opinion(kind, strength) - 1) / 3.6)
            expected.append(left)
        assert pair.quality == pytest.approx(tuple(expected))


def test_a_pair_is_the_same_in_every_table_and_another_for_every_image_and_number():
    same = {pair_of(seed_of_pair(Path(p), 0), recipe()).seed for p in ("a.png", "x/a.png")}
    other = {pair_of(seed_of_pair(Path("b.png"), n), recipe()).seed for n in range(5)}

    assert len(same) == 1
    assert len(other | same) == 6


def test_qualities_of_a_table_are_those_of_its_pairs():
    paths = [Path("a.png"), Path("b.png")]

    found = qualities(paths, 3, recipe())

    assert found.shape == (2, 3, 2)
    expected = pair_of(seed_of_pair(paths[1], 2), recipe()).quality
    np.testing.assert_array_equal(found[1, 2], expected)
    assert qualities(paths, 0, recipe()).shape == (2, 0, 2)


@pytest.mark.parametrize(("direction", "expected"), [("higher", 20.0), ("lower", 80.0)])
def test_a_ruin_stands_near_the_worse_end(direction, expected):
    labels = Labels(dataset="any", low=0.0, high=100.0, direction=direction)

    assert ruin_of(labels, recipe(ruined=0.2)) == pytest.approx(expected)


def test_an_image_is_reduced_to_its_side_before_it_is_distorted_and_never_enlarged():
    seen = []
    pair = pair_of(0, recipe())._replace(strengths=(0.0, 0.0), below=None, side=SIDES[0])
    generator = np.random.default_rng(0)
    for shape in ((500, 800), (200, 300)):
        pixels = generator.integers(0, 256, (*shape, 3), dtype=np.uint8)
        copies_of(pixels, pair, lambda image: seen.append(image) or image[None, :8, :8])

    assert [image.shape[:2] for image in seen] == [(384, 614)] * 2 + [(200, 300)] * 2
    np.testing.assert_array_equal(seen[-1], pixels)


def test_stored_crops_are_the_image_and_its_copies(photograph):
    make = StoredCrops(FED, 64, recipe(copies=2, held_out=("avif",)))

    crops = make(photograph)

    assert crops.shape == (5, 64, 64, 3) == (make.count, 64, 64, 3)
    np.testing.assert_array_equal(crops[:1], crops_from_pixels(decode(photograph), FED, 64))
    np.testing.assert_array_equal(crops, make(photograph))
    for number in range(2):
        pair = pair_of(seed_of_pair(photograph, number), make.recipe)
        copies = copies_of(decode(photograph), pair, lambda c: crops_from_pixels(c, FED, 64))
        np.testing.assert_array_equal(crops[1 + 2 * number : 3 + 2 * number], copies)


def test_what_is_stored_has_a_key_of_all_that_it_depends_on():
    makes = [
        StoredCrops(FED, 64, recipe(copies=2)),
        StoredCrops(FED, 48, recipe(copies=2)),
        StoredCrops(FED, 64, recipe(copies=3)),
        StoredCrops(FED, 64, recipe(copies=2, held_out=("jpeg",))),
        StoredCrops(FED, 64, recipe(copies=2, composed=0.5)),
        StoredCrops(FED, 64, recipe(copies=0)),
    ]

    assert len({str(make.key) for make in makes}) == len(makes)
    assert makes[0].key == StoredCrops(FED, 64, recipe(copies=2, severity=0.1, rank=1.0)).key
