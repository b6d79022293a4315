"""Crops for training: each at most once, the same from every seed, distorted copies last."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs

from helpers.raster import pattern
from lifeiqa.config import Preprocessing
from lifeiqa.data.distortions import distort
from lifeiqa.data.table import Table
from lifeiqa.preprocess.crops import crops_from_pixels
from lifeiqa.preprocess.decode import decode
from lifeiqa.training.recipe import Phase, Recipe
from lifeiqa.training.sampling import (
    Draw,
    Feed,
    crops_by_plan,
    crops_of_epoch,
    crops_to_cache,
    epoch_of,
    number_of,
    pair_of_draw,
    pairs_to_cache,
    random_crops,
    seed_of,
    twins_to_cache,
)

SIZE = 128
"""Of smaller crops, the higher levels of JPEG 2000 leave the same."""
PREPROCESSING = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3, short_side=144, crops="five")


def recipe(**changes):
    return Recipe(phases=(Phase(name="joint", epochs=1, lr=1.0),), **changes)


def twins(feed, rows, count, *, flip):
    return twins_to_cache(feed, rows, count, recipe(flip=flip))


def epoch(images, seed=0, *, batch_size=4, **changes):
    phase = Phase(**{"name": "joint", "epochs": 1, "lr": 1.0, **changes})
    return epoch_of(images, Recipe(phases=(phase,), batch_size=batch_size), phase, seed)


@pytest.fixture(scope="module")
def feed(tmp_path_factory):
    """Pieces of photographs, in which every distortion can be seen."""
    folder = tmp_path_factory.mktemp("photographs")
    paths = []
    for name in ("astronaut", "coffee", "chelsea"):
        path = folder / f"{name}.png"
        Image.fromarray(getattr(photographs, name)()[60:210, 120:285]).save(path)
        paths.append(path)
    return Feed(
        Table(name="photographs", paths=tuple(paths), scores=(1, 2, 3)), PREPROCESSING, SIZE
    )


def listed(batches):
    return [(draw.image, draw.number) for batch in batches for draw in batch]


@pytest.mark.parametrize(
    ("images", "crops", "batch_size"), [(5, 3, 4), (6, 2, 4), (7, 1, 3), (1, 9, 2), (4, 1, 1)]
)
def test_every_crop_is_drawn_once_but_for_a_remainder(images, crops, batch_size):
    batches = epoch(images, batch_size=batch_size, crops=crops)

    drawn, everything = listed(batches), {(p, n) for p in range(images) for n in range(crops)}
    assert {len(batch) for batch in batches} == {batch_size}
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= everything
    assert len(everything) - len(drawn) == len(everything) % batch_size


def test_what_is_less_than_a_batch_is_one():
    (batch,) = epoch(3, batch_size=32, crops=2)

    assert sorted((draw.image, draw.number) for draw in batch) == [
        (p, n) for p in range(3) for n in range(2)
    ]


def test_the_seed_alone_draws_an_epoch():
    epochs = [listed(epoch(9, seed, crops=2)) for seed in (0, 0, 1)]

    assert epochs[0] == epochs[1]
    assert epochs[0] != epochs[2]
    assert epochs[0] != sorted(epochs[0])


def test_the_remainder_is_another_one_in_another_epoch():
    everything = {(p, 0) for p in range(7)}

    left_out = {frozenset(everything - set(listed(epoch(7, seed)))) for seed in range(20)}

    assert len(left_out) > 5


@pytest.mark.parametrize("twins", [0, 1, 3, 4])
def test_so_many_crops_of_each_batch_have_twins(twins):
    batches = epoch(9, crops=2, twins=twins)

    assert [sum(draw.twin for draw in batch) for batch in batches] == [twins] * 4
    assert listed(batches) == listed(epoch(9, crops=2))


def test_a_seed_of_several_numbers_depends_on_each_and_on_their_order():
    tuples = [(0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 2, 3), (3, 2, 1), (12, 3, 0)]

    seeds = [seed_of(*numbers) for numbers in tuples]

    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert seeds == [seed_of(*numbers) for numbers in tuples]


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_other_crop_is_mirrored(count, seed):
    pixels = pattern(150, 170)

    plain = random_crops(pixels, PREPROCESSING, SIZE, count, seed, flip=False)
    mixed = random_crops(pixels, PREPROCESSING, SIZE, count, seed, flip=True)

    assert mixed.shape == plain.shape == (count, SIZE, SIZE, 3)
    for number in range(count):
        expected = plain[number, :, ::-1] if number % 2 == seed % 2 else plain[number]
        np.testing.assert_array_equal(mixed[number], expected)
        assert not np.array_equal(plain[number], plain[number, :, ::-1])


def test_random_crops_are_those_of_the_plan_and_spare_the_image():
    pixels = pattern(150, 170)
    plan = dataclasses.replace(PREPROCESSING, crops="random:4:9")

    crops = random_crops(pixels, PREPROCESSING, SIZE, 4, 9, flip=False)
    random_crops(pixels, PREPROCESSING, SIZE, 4, 9, flip=True)

    np.testing.assert_array_equal(crops, crops_from_pixels(pixels, plan, SIZE))
    np.testing.assert_array_equal(pixels, pattern(150, 170))


def test_crops_by_plan_are_what_the_model_itself_would_see(feed):
    found = list(crops_by_plan(feed, [2, 0]))

    for crops, row in zip(found, (2, 0), strict=True):
        expected = crops_from_pixels(decode(feed.table.paths[row]), PREPROCESSING, SIZE)
        np.testing.assert_array_equal(crops.numpy(), expected)
        assert (crops.dtype, crops.shape) == (torch.uint8, (5, SIZE, SIZE, 3))


@pytest.mark.parametrize("flip", [False, True])
def test_crops_to_cache_are_drawn_from_the_name_alone(feed, flip):
    every = list(crops_to_cache(feed, range(3), 4, flip=flip))

    for path, crops in zip(feed.table.paths, every, strict=True):
        seed = seed_of(number_of(path))
        expected = random_crops(decode(path), PREPROCESSING, SIZE, 4, seed, flip=flip)
        np.testing.assert_array_equal(crops.numpy(), expected)


@pytest.mark.parametrize("source", [crops_to_cache, twins])
def test_crops_to_cache_are_the_same_in_every_table(feed, source, tmp_path):
    whole = list(source(feed, range(3), 4, flip=True))
    first, _, last = feed.table.paths
    other = tmp_path / "other.png"
    other.write_bytes(first.read_bytes())
    table = dataclasses.replace(feed.table, paths=(last, first, other))

    found = list(source(dataclasses.replace(feed, table=table), [1, 0, 2], 4, flip=True))

    assert torch.equal(found[0], whole[0])
    assert torch.equal(found[1], whole[2])
    assert not torch.equal(found[2], whole[0])  # of another name


def test_the_number_of_an_image_is_that_of_its_name_in_any_folder():
    names = ("a.png", "x/a.png", "/y/a.png", "b.png", "\udcff.png", "\udcfe.png")
    numbers = [number_of(Path(name)) for name in names]

    assert len(set(numbers[:3])) == 1
    assert len(set(numbers)) == 4
    assert seed_of(numbers[0]) == 3594684554  # cached features outlive a version


def crops_by_hand(feed, batch, seed, flip):
    """What has a score, one crop at a time."""
    return [
        random_crops(
            decode(feed.table.paths[draw.image]),
            PREPROCESSING,
            SIZE,
            1,
            seed_of(seed, draw.image, draw.number),
            flip=flip,
        )[0]
        for draw in batch
    ]


@pytest.mark.parametrize("flip", [False, True])
def test_an_epoch_has_the_crops_of_its_draws_in_their_order(feed, flip):
    batches = epoch(3, crops=3)

    found = list(crops_of_epoch(feed, batches, 5, recipe(flip=flip)))

    assert len(found) == len(batches) == 2
    for crops, batch in zip(found, batches, strict=True):
        assert (crops.dtype, crops.shape) == (torch.uint8, (4, SIZE, SIZE, 3))
        np.testing.assert_array_equal(crops.numpy(), crops_by_hand(feed, batch, 5, flip))


def test_crops_of_one_image_differ_and_so_do_epochs(feed):
    batches = [[Draw(0, 0, False), Draw(0, 1, False)]]

    (first,), (again,), (other) = (
        list(crops_of_epoch(feed, batches, seed, recipe(flip=False))) for seed in (0, 0, 1)
    )

    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, other[0])


def copies_by_hand(feed, draw, pair, seed):
    """Both copies of a crop that is not mirrored: the whole image is distorted, then cut."""
    pixels = decode(feed.table.paths[draw.image])  # smaller than any side: at its own size
    if pair.below is not None:
        pixels = distort(pixels, *pair.below, seed=seed_of(pair.seed, 1))
    own = seed_of(seed, draw.image, draw.number)
    forms = [distort(pixels, pair.kind, strength, seed=pair.seed) for strength in pair.strengths]
    return [random_crops(form, PREPROCESSING, SIZE, 1, own, flip=False)[0] for form in forms]


def test_copies_come_last_the_better_ones_before_the_worse(feed):
    count, seed, mixed = 9, 7, recipe(flip=False, composed=0.5)
    batch = [Draw(i % 3, i // 3, 2 <= i < 2 + count) for i in range(15)]
    pairs = [pair_of_draw(feed, draw, seed, mixed) for draw in batch if draw.twin]

    (crops,) = crops_of_epoch(feed, [batch], seed, mixed)

    assert {pair.below is None for pair in pairs} == {True, False}
    assert len(crops) == 15 + 2 * count
    np.testing.assert_array_equal(crops[:15], crops_by_hand(feed, batch, seed, False))
    for index, pair in enumerate(pairs):
        expected = copies_by_hand(feed, batch[2 + index], pair, seed)
        np.testing.assert_array_equal(crops[15 + index], expected[0])
        np.testing.assert_array_equal(crops[15 + count + index], expected[1])


def test_a_mirrored_crop_has_mirrored_copies(feed):
    draw = next(Draw(0, n, True) for n in range(9) if seed_of(0, 0, n) % 2 == 0)  # mirrored

    (mirrored,) = crops_of_epoch(feed, [[draw]], 0, recipe())
    (plain,) = crops_of_epoch(feed, [[draw]], 0, recipe(flip=False))

    assert torch.equal(mirrored, plain.flip(2))


def test_a_batch_without_twins_is_what_was_drawn(feed):
    (crops,) = crops_of_epoch(feed, [[Draw(0, 0, False), Draw(1, 0, False)]], 0, recipe())

    assert len(crops) == 2


def test_twins_are_repeatable_and_the_crop_is_the_same_with_and_without(feed):
    batches = [[Draw(0, 0, True), Draw(1, 0, True)]]
    without = [[draw._replace(twin=False) for draw in batch] for batch in batches]

    (first,), (again,), (plain,) = (
        list(crops_of_epoch(feed, drawn, 3, recipe())) for drawn in (batches, batches, without)
    )

    assert torch.equal(first, again)
    assert torch.equal(first[:2], plain)


def test_cached_copies_are_those_of_the_cached_crops_pair_by_pair(feed):
    """A pair that is hardly distorted shows where it was cut, and whether it was mirrored."""
    crops = torch.cat(list(crops_to_cache(feed, range(3), 8, flip=True)))
    copies = torch.cat(list(twins(feed, range(3), 8, flip=True)))
    pairs = [pair for path in feed.table.paths for pair in pairs_to_cache(path, 8, recipe())]

    assert copies.shape == (3 * 2 * 8, SIZE, SIZE, 3)
    untouched = [row for row, pair in enumerate(pairs) if pair.strengths[0] == 0]
    assert len(untouched) > 2
    for row in untouched:
        assert torch.equal(copies[2 * row], crops[row])


def test_a_fixed_set_of_copies_is_drawn_from(feed):
    fixed = recipe(copies=2)
    drawn = {pair_of_draw(feed, Draw(0, n, True), 3, fixed).seed for n in range(20)}

    assert drawn == {pair.seed for pair in pairs_to_cache(feed.table.paths[0], 2, fixed)}
    assert len(pairs_to_cache(feed.table.paths[0], 5, fixed)) == 5
    assert len({pair_of_draw(feed, Draw(0, n, True), 3, recipe()).seed for n in range(20)}) == 20


@pytest.mark.parametrize("kind", ["plan", "cache", "twins", "epoch"])
def test_other_processes_give_the_same_crops(feed, kind):
    batches = epoch(3, crops=4, twins=2)
    found = []
    for workers in (0, 2):
        by = dataclasses.replace(feed, workers=workers)
        crops = {
            "plan": lambda by=by: crops_by_plan(by, range(3)),
            "cache": lambda by=by: crops_to_cache(by, range(3), 2, flip=True),
            "twins": lambda by=by: twins(by, range(3), 2, flip=True),
            "epoch": lambda by=by: crops_of_epoch(by, batches, 0, recipe()),
        }[kind]()
        found.append(list(crops))

    assert len(found[0]) == len(found[1]) == 3
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
