"""Cached features: what the backbone gives of an image, once, for as long as nothing changes."""

import dataclasses
import os
import shutil

import pytest
import torch
from PIL import Image

from helpers.cached import IMAGES, SIZE, feed_of, get, scoring_model, write_images
from helpers.raster import pattern
from helpers.tiny_network import random_crops
from lifeiqa.data.table import Table
from lifeiqa.model.network import Features
from lifeiqa.training.features import Cache, extract, joined
from lifeiqa.training.recipe import Phase, Recipe
from lifeiqa.training.sampling import crops_by_plan, crops_to_cache, twins_to_cache
from lifeiqa.training.work import mean_scores


@pytest.fixture(scope="module")
def model():
    return scoring_model()


@pytest.fixture
def feed(tmp_path, model):
    write_images(tmp_path)
    return feed_of(model, tmp_path)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def stored(folder):
    return sorted(path.name for path in folder.iterdir())


def never(rows):
    raise AssertionError("the backbone ran again")


def with_paths(feed, paths):
    table = Table(name="other", paths=tuple(paths), scores=(1.0,) * len(paths))
    return dataclasses.replace(feed, table=table)


@pytest.mark.parametrize("count", [1, 3, 8, 11])
def test_extraction_is_the_networks_own_crop_by_crop(model, count):
    crops = torch.from_numpy(random_crops(5 * count, SIZE)).view(5, count, SIZE, SIZE, 3)

    found = [torch.cat(parts) for parts in zip(*extract(model, iter(crops)), strict=True)]

    for ours in found:
        assert ours.dtype == torch.float16
        assert ours.shape[:2] == (5, count)
    for row in range(5):
        for number in range(count):
            with torch.no_grad():
                features = model.network.extract(model.normalise(crops[row, number][None]))
            for ours, plain in zip(found, features, strict=True):
                torch.testing.assert_close(
                    ours[row, number].float(), plain[0], rtol=1e-3, atol=1e-5
                )
    assert not torch.allclose(found[0][0, 0], found[0][1, 0], rtol=1e-2)


@pytest.mark.parametrize(("count", "passes"), [(1, [8, 3]), (3, [3, 3, 3, 2]), (9, [1] * 11)])
def test_a_pass_takes_whole_images(model, count, passes):
    crops = torch.from_numpy(random_crops(11 * count, SIZE)).view(11, count, SIZE, SIZE, 3)

    assert [len(features.query) for features in extract(model, iter(crops))] == passes


def test_without_an_attended_stage_there_is_no_memory(folder, feed):
    model = scoring_model(memory_stage=None)

    found, again = (get(model, feed, folder) for _ in range(2))

    assert found.memory is None
    assert again.memory is None
    assert torch.equal(found.query, again.query)
    assert each(model, feed, folder)[0].memory is None
    assert found.pick(torch.tensor([0]), torch.tensor([1])).memory is None


def test_features_are_picked_crop_by_crop(model, feed):
    found = get(model, feed, None)
    images, crops = torch.tensor([2, 0, 2]), torch.tensor([1, 4, 0])

    picked = found.pick(images, crops)

    assert picked.query.dtype == picked.memory.dtype == torch.float32
    for place, (row, number) in enumerate(zip(images, crops, strict=True)):
        assert torch.equal(picked.query[place], found.query[row, number].float())
        assert torch.equal(picked.memory[place], found.memory[row, number].float())


@pytest.fixture
def uneven(model, tmp_path):
    """Images of 1, 2, 2, 3, 1 and 2 crops by the plan ``cover``."""
    sizes = [(64, 64), (64, 80), (128, 64), (150, 64), (64, 64), (70, 90)]
    for number, size in enumerate(sizes):
        Image.fromarray(pattern(*size)).save(tmp_path / f"{number}.png")
    feed = feed_of(model, tmp_path, range(len(sizes)))
    return dataclasses.replace(
        feed, preprocessing=dataclasses.replace(feed.preprocessing, crops="cover")
    )


def each(model, feed, folder, plan=crops_by_plan):
    return Cache(model, folder).each(feed, lambda rows: plan(feed, rows), "plan")


def test_images_may_have_different_numbers_of_crops(model, uneven, folder):
    found = each(model, uneven, folder)
    again = each(model, uneven, folder, plan=lambda feed, rows: never(rows))

    assert [len(own.query) for own in found] == [1, 2, 2, 3, 1, 2]
    crops = list(crops_by_plan(uneven, range(len(found))))
    for own, same, uint8 in zip(found, again, crops, strict=True):
        assert own.query.dtype == own.memory.dtype == torch.float16
        assert torch.equal(own.query, same.query)
        assert torch.equal(own.memory, same.memory)
        with torch.no_grad():
            plain = model.network.extract(model.normalise(uint8))
        torch.testing.assert_close(own.query.float(), plain.query, rtol=2e-3, atol=1e-4)
        torch.testing.assert_close(own.memory.float(), plain.memory, rtol=2e-3, atol=1e-4)


def test_images_that_have_as_many_crops_are_those_of_get(model, feed, folder):
    whole = get(model, feed, folder)

    for row, own in enumerate(each(model, feed, folder)):
        assert torch.equal(own.query, whole.query[row])
        assert torch.equal(own.memory, whole.memory[row])


def test_a_pass_takes_images_of_as_many_crops(model):
    counts = [1, 1, 2, 2, 2, 2, 2, 1, 9, 1]
    crops = [torch.from_numpy(random_crops(count, SIZE)) for count in counts]

    passes = [tuple(features.query.shape[:2]) for features in extract(model, iter(crops))]

    assert passes == [(2, 1), (4, 2), (1, 2), (1, 1), (1, 9), (1, 1)]


@pytest.mark.parametrize("grouped", [1, 4, 32])
def test_validation_takes_the_mean_over_the_crops_that_each_image_has(model, uneven, grouped):
    held = each(model, uneven, None)
    starts = range(0, len(held), grouped)
    with torch.no_grad():
        found = [mean_scores(model.network, held[at : at + grouped]) for at in starts]
        plain = [
            float(model.network(model.normalise(crops)).score.mean())
            for crops in crops_by_plan(uneven, range(len(held)))
        ]

    assert torch.cat(found).tolist() == pytest.approx(plain, abs=2e-3)
    assert len(set(plain)) > 3


def test_features_can_be_learned_from(model, feed):
    features = get(model, feed, None).pick(torch.tensor([0, 1]), torch.tensor([0, 0]))

    model.network.decode(features).score.sum().backward()

    assert model.network.decoder.queries.grad.any()
    model.zero_grad()


@pytest.mark.parametrize("memory", [True, False])
def test_batches_are_joined_in_their_order(memory):
    parts = [Features(torch.randn(n, 3), torch.randn(n, 4, 2) if memory else None) for n in (2, 1)]

    whole = joined(parts)

    assert torch.equal(whole.query, torch.cat([parts[0].query, parts[1].query]))
    if memory:
        assert torch.equal(whole.memory[2], parts[1].memory[0])
    else:
        assert whole.memory is None


@pytest.mark.parametrize("rows", [range(IMAGES), [5, 0, 3], [2], [1, 4, 1, 1]])
def test_tables_share_their_images_whatever_their_order(model, feed, folder, rows):
    whole = get(model, feed, folder)
    part = dataclasses.replace(feed, table=feed.table.take(list(rows)))

    found = Cache(model, folder).get(part, never, "plan")

    assert len(stored(folder)) == 1
    assert torch.equal(found.query, whole.query[list(rows)])
    assert torch.equal(found.memory, whole.memory[list(rows)])


def test_what_is_missing_is_extracted_once_and_the_rest_is_read(model, feed, folder):
    some = get(model, dataclasses.replace(feed, table=feed.table.take([4, 1])), folder)
    asked, paths = [], feed.table.paths

    found = get(model, with_paths(feed, [*paths, *paths]), folder, asked=asked)

    assert sorted(row % IMAGES for row in asked) == [0, 2, 3, 5, 6]
    assert torch.equal(found.query[[4, 1]], some.query)
    assert torch.equal(found.query[:IMAGES], found.query[IMAGES:])
    alone = get(model, feed, None)
    for ours, plain in zip(found, alone, strict=True):
        torch.testing.assert_close(ours[:IMAGES], plain, rtol=2e-3, atol=1e-5)


def twins(feed, rows, count, *, flip):
    phase = Phase(name="frozen", epochs=1, lr=1.0)
    return twins_to_cache(feed, rows, count, Recipe(phases=(phase,), flip=flip))


@pytest.mark.parametrize("source", [crops_to_cache, twins])
def test_random_crops_are_shared_as_those_of_the_plan(model, feed, folder, source):
    part = dataclasses.replace(feed, table=feed.table.take([6, 2]))
    whole = Cache(model, folder).get(feed, lambda rows: source(feed, rows, 4, flip=True), "random")
    alone = Cache(model).get(part, lambda rows: source(part, rows, 4, flip=True), "random")

    shared = Cache(model, folder).get(part, never, "random")

    assert torch.equal(shared.query, whole.query[[6, 2]])
    torch.testing.assert_close(shared.query, alone.query, rtol=2e-3, atol=1e-5)


def test_without_a_folder_nothing_is_kept(model, feed, tmp_path, monkeypatch):
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)

    anew = get(model, feed, None)

    assert sorted(tmp_path.iterdir()) == before
    kept = get(model, feed, tmp_path / "cache")
    assert torch.equal(kept.query, anew.query)
    assert torch.equal(kept.memory, anew.memory)
    with pytest.raises(AssertionError, match="ran again"):
        Cache(model).get(feed, never, "plan")


@pytest.mark.parametrize(
    "changed", [{"grid": 1}, {"memory_stage": 2}, {"query_stage": 3}, {"memory_stage": None}]
)
def test_other_stages_or_another_grid_are_other_features(model, feed, folder, changed):
    get(model, feed, folder)

    other = get(scoring_model(**changed), feed, folder)

    assert len(stored(folder)) == 2
    assert torch.equal(other.query, get(scoring_model(**changed), feed, None).query)


@pytest.mark.parametrize("part", ["weight", "running_mean"])
def test_another_backbone_is_other_features(model, feed, folder, part):
    get(model, feed, folder)
    changed, asked = scoring_model(), []
    tensors = changed.network.backbone.state_dict()
    name = next(name for name in reversed(tensors) if name.endswith(part))
    with torch.no_grad():
        tensors[name].view(-1)[0] += 1e-3

    get(changed, feed, folder, asked=asked)

    assert asked == list(range(IMAGES))
    assert len(stored(folder)) == 2


def test_another_decoder_shares_the_features(model, feed, folder):
    get(model, feed, folder)

    for changes in ({"dim": 16, "heads": 2}, {"head": "none"}, {"depth": 1, "experts": 3}):
        Cache(scoring_model(**changes), folder).get(feed, never, "plan")

    assert len(stored(folder)) == 1


@pytest.mark.parametrize(
    "changed",
    [{"crops": "center"}, {"short_side": 66}, {"resample": "bilinear"}, {"mean": (0,) * 3}],
)
def test_images_fed_otherwise_are_other_features(model, feed, folder, changed):
    get(model, feed, folder)
    fed, asked = dataclasses.replace(feed.preprocessing, **changed), []

    get(model, dataclasses.replace(feed, preprocessing=fed), folder, asked=asked)

    assert asked == list(range(IMAGES))
    assert len(stored(folder)) == 2


def test_other_crops_and_another_size_of_them_are_other_features(model, feed, folder):
    get(model, feed, folder)
    cached = {
        plan: Cache(model, folder).get(
            feed,
            lambda rows, count=count, flip=flip: crops_to_cache(feed, rows, count, flip=flip),
            plan,
        )
        for plan, count, flip in (("two", 2, True), ("three", 3, True), ("plain", 2, False))
    }
    larger = dataclasses.replace(feed, size=SIZE + 32)
    Cache(model, folder).get(larger, lambda rows: crops_by_plan(feed, rows), "plan")

    assert len(stored(folder)) == 5
    assert [features.query.shape[1] for features in cached.values()] == [2, 3, 2]


@pytest.mark.parametrize("change", ["content", "time", "name", "folder"])
def test_another_image_has_other_features_and_the_rest_are_read(model, feed, folder, change):
    before = get(model, feed, folder)
    paths, asked = list(feed.table.paths), []
    if change == "content":
        Image.fromarray(pattern(73, 80)).save(paths[1])
    elif change == "time":
        os.utime(paths[1], ns=(0, 10**18))
    elif change == "name":
        paths[1] = paths[1].rename(paths[1].with_name("other.png"))
    else:
        (paths[1].parent / "elsewhere").mkdir()
        paths[1] = paths[1].rename(paths[1].parent / "elsewhere" / paths[1].name)

    found = get(model, with_paths(feed, paths), folder, asked=asked)

    assert asked == [1]
    assert len(stored(folder)) == 1
    rest = [row for row in range(IMAGES) if row != 1]
    assert torch.equal(found.query[rest], before.query[rest])
    assert torch.equal(found.query[1], before.query[1]) == (change != "content")


def test_images_of_one_name_size_and_time_are_told_apart(model, feed, folder, tmp_path):
    """LIVE has an `img1.bmp` in each of five folders."""
    paths = [tmp_path / kind / "img1.bmp" for kind in ("jpeg", "wn")]
    for path, pixels in zip(paths, (pattern(80, 80), 255 - pattern(80, 80)), strict=True):
        path.parent.mkdir()
        Image.fromarray(pixels).save(path)
        os.utime(path, ns=(0, 10**18))
    assert paths[0].stat().st_size == paths[1].stat().st_size

    first, second = get(model, with_paths(feed, paths), folder).query

    assert not torch.equal(first, second)


def test_a_data_set_that_moved_keeps_its_features(model, feed, folder, tmp_path_factory):
    whole = get(model, feed, folder)
    images = feed.table.paths[0].parent
    copy = tmp_path_factory.mktemp("elsewhere") / images.name
    shutil.copytree(images, copy)
    paths = [copy / path.name for path in feed.table.paths]

    found = Cache(model, folder).get(
        dataclasses.replace(with_paths(feed, paths), workers=1), never, "plan"
    )

    assert torch.equal(found.query, whole.query)
