"""Cached features: what the backbone gives, once, for as long as nothing that matters changes."""

import dataclasses
import os

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from lifeiqa.config import Preprocessing
from lifeiqa.data.table import Table
from lifeiqa.model.network import Features, LifeIQA, ScoringModel
from lifeiqa.training.crops import Feed, crops_by_plan, crops_to_cache
from lifeiqa.training.features import Cache, CachedFeatures, extract, joined
from raster import picture
from tiny_network import LABELS, liven, random_crops, tiny_config

SIZE = 64
PICTURES = 3


def scoring_model(**changes):
    """The same random weights at every call."""
    torch.manual_seed(0)
    network = LifeIQA(tiny_config(**{"crop_size": SIZE, "grid": 2, **changes}))
    backbone = network.backbone
    preprocessing = Preprocessing(mean=backbone.mean, std=backbone.std, crops="five")
    model = ScoringModel(network, preprocessing, LABELS).eval()
    liven(model, random_crops(8, SIZE))
    return model, preprocessing


@pytest.fixture(scope="module")
def model():
    return scoring_model()[0]


@pytest.fixture
def feed(tmp_path, model):
    paths = []
    for number in range(PICTURES):
        path = tmp_path / f"{number}.png"
        Image.fromarray(picture(70 + number, 80)).save(path)
        paths.append(path)
    table = Table(name="noise", paths=tuple(paths), scores=(1.0, 2.0, 3.0))
    backbone = model.network.backbone
    return Feed(table, Preprocessing(mean=backbone.mean, std=backbone.std, crops="five"), SIZE)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def get(model, feed, folder, plan="plan"):
    return Cache(model, folder).get(feed, lambda rows: crops_by_plan(feed, rows), plan)


def stored(folder):
    return sorted(path.name for path in folder.iterdir())


def never(rows):
    raise AssertionError("the backbone ran again")


@pytest.mark.parametrize("count", [1, 3, 8, 11])
def test_extraction_is_the_networks_own_crop_by_crop(model, count):
    crops = torch.from_numpy(random_crops(5 * count, SIZE)).view(5, count, SIZE, SIZE, 3)

    found = extract(model, iter(crops))

    assert found.query.dtype == found.memory.dtype == torch.float16
    assert found.query.shape[:2] == found.memory.shape[:2] == (5, count)
    for row in range(5):
        for number in range(count):
            with torch.no_grad():
                features = model.network.extract(model.normalise(crops[row, number][None]))
            for ours, plain in zip(found, features, strict=True):
                torch.testing.assert_close(
                    ours[row, number].float(), plain[0], rtol=1e-3, atol=1e-5
                )
    assert not torch.allclose(found.query[0, 0], found.query[1, 0], rtol=1e-2)


def test_without_an_attended_stage_there_is_no_memory(folder, feed):
    model, _ = scoring_model(memory_stage=None)

    found, again = (get(model, feed, folder) for _ in range(2))

    assert found.memory is None
    assert again.memory is None
    assert torch.equal(found.query, again.query)
    assert found.all_of(slice(0, 2)).memory is None
    assert found.pick(torch.tensor([0]), torch.tensor([1])).memory is None


def test_features_are_picked_crop_by_crop(model, feed):
    found = get(model, feed, None)
    pictures, crops = torch.tensor([2, 0, 2]), torch.tensor([1, 4, 0])

    picked = found.pick(pictures, crops)

    assert picked.query.dtype == picked.memory.dtype == torch.float32
    for place, (row, number) in enumerate(zip(pictures, crops, strict=True)):
        assert torch.equal(picked.query[place], found.query[row, number].float())
        assert torch.equal(picked.memory[place], found.memory[row, number].float())


def test_all_features_come_picture_by_picture(model, feed):
    found = get(model, feed, None)

    every = found.all_of(slice(1, 9))

    rows = [(row, number) for row in (1, 2) for number in range(5)]
    assert len(every.query) == len(every.memory) == len(rows)
    for place, (row, number) in enumerate(rows):
        assert torch.equal(every.query[place], found.query[row, number].float())
        assert torch.equal(every.memory[place], found.memory[row, number].float())


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


def test_a_second_run_reads_the_file_and_leaves_the_backbone_alone(model, feed, folder):
    first = get(model, feed, folder)

    again = Cache(model, folder).get(feed, never, "plan")

    assert len(stored(folder)) == 1
    assert torch.equal(again.query, first.query)
    assert torch.equal(again.memory, first.memory)


def test_what_is_in_the_file_is_what_is_given(model, feed, folder):
    get(model, feed, folder)
    (path,) = folder.iterdir()
    save_file({name: 0 * tensor + 7 for name, tensor in load_file(path).items()}, path)

    poisoned = get(model, feed, folder)

    assert poisoned.query.eq(7).all()
    assert poisoned.memory.eq(7).all()


def test_without_a_folder_nothing_is_kept(model, feed, tmp_path):
    before = sorted(tmp_path.iterdir())

    kept, anew = get(model, feed, tmp_path / "cache"), get(model, feed, None)

    assert torch.equal(kept.query, anew.query)
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "cache"])
    with pytest.raises(AssertionError, match="ran again"):
        Cache(model).get(feed, never, "plan")


def test_a_run_that_dies_in_the_pass_leaves_no_file(model, feed, folder):
    def dying(rows):
        yield from crops_by_plan(feed, rows[:1])
        raise OSError("a picture cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        Cache(model, folder).get(feed, dying, "plan")

    assert not folder.exists() or stored(folder) == []


@pytest.mark.parametrize(
    "changed", [{"grid": 1}, {"memory_stage": 2}, {"query_stage": 3}, {"memory_stage": None}]
)
def test_other_stages_or_another_grid_are_other_features(model, feed, folder, changed):
    get(model, feed, folder)

    other = get(scoring_model(**changed)[0], feed, folder)

    assert len(stored(folder)) == 2
    assert torch.equal(other.query, get(scoring_model(**changed)[0], feed, None).query)


@pytest.mark.parametrize("part", ["weight", "running_mean"])
def test_another_backbone_is_other_features(model, feed, folder, part):
    get(model, feed, folder)
    changed, _ = scoring_model()
    tensors = changed.network.backbone.state_dict()
    name = next(name for name in reversed(tensors) if name.endswith(part))
    with torch.no_grad():
        tensors[name].view(-1)[0] += 1e-3

    get(changed, feed, folder)

    assert len(stored(folder)) == 2


def test_another_decoder_shares_the_features(model, feed, folder):
    get(model, feed, folder)

    for changes in ({"dim": 16, "heads": 2}, {"head": "none"}, {"depth": 1, "experts": 3}):
        Cache(scoring_model(**changes)[0], folder).get(feed, never, "plan")

    assert len(stored(folder)) == 1


@pytest.mark.parametrize(
    "changed",
    [{"crops": "center"}, {"short_side": 66}, {"resample": "bilinear"}, {"mean": (0,) * 3}],
)
def test_pictures_fed_otherwise_are_other_features(model, feed, folder, changed):
    get(model, feed, folder)

    fed = dataclasses.replace(feed.preprocessing, **changed)
    get(model, dataclasses.replace(feed, preprocessing=fed), folder)

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


@pytest.mark.parametrize("change", ["content", "time", "name", "order", "fewer"])
def test_other_pictures_are_other_features(model, feed, folder, change):
    get(model, feed, folder)
    paths = list(feed.table.paths)
    if change == "content":
        Image.fromarray(picture(73, 80)).save(paths[1])
    elif change == "time":
        os.utime(paths[1], ns=(0, 10**18))
    elif change == "name":
        paths[1] = paths[1].rename(paths[1].with_name("other.png"))
    elif change == "order":
        paths.reverse()
    else:
        paths.pop()
    scores = feed.table.scores[: len(paths)]
    table = dataclasses.replace(feed.table, paths=tuple(paths), scores=scores)

    get(model, dataclasses.replace(feed, table=table), folder)

    assert len(stored(folder)) == 2


def test_pictures_that_moved_and_scores_that_changed_share_the_features(model, feed, folder):
    get(model, feed, folder)
    elsewhere = feed.table.paths[0].parent / "elsewhere"
    elsewhere.mkdir()
    paths = tuple(path.rename(elsewhere / path.name) for path in feed.table.paths)
    table = Table(name="renamed", paths=paths, scores=(3.0, 1.0, 2.0))

    found = Cache(model, folder).get(
        dataclasses.replace(feed, table=table, workers=1), never, "plan"
    )

    assert isinstance(found, CachedFeatures)
    assert len(stored(folder)) == 1
