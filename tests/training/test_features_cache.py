"""The files of cached features: kills, damage, and several processes at the same time."""

import contextlib
import multiprocessing
import signal
import sqlite3
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from helpers import cached, runs
from helpers.cached import IMAGES, feed_of, get, scoring_model, write_images
from lifeiqa.errors import DatasetError
from lifeiqa.training import features
from lifeiqa.training.experiment import repeat
from lifeiqa.training.features import Cache
from lifeiqa.training.sampling import crops_by_plan


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """As in every process that this one is compared with."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def context():
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["lifeiqa.training.features", "safetensors.torch"])
    return found


@pytest.fixture(scope="module")
def model():
    return scoring_model()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    write_images(folder)
    return folder


@pytest.fixture
def feed(model, images):
    return feed_of(model, images)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def never(rows):
    raise AssertionError("the backbone ran again")


def same(a, b):
    return torch.equal(a.query, b.query) and torch.equal(a.memory, b.memory)


def test_an_extraction_that_fails_goes_on_where_it_was(model, feed, folder, monkeypatch):
    monkeypatch.setattr(features, "_IMAGES", 3)  # two passes, of two images each
    asked = []

    def failing(rows):
        yield from crops_by_plan(feed, rows[:5])
        raise OSError("an image cannot be read")

    with pytest.raises(OSError, match="cannot be read"):
        Cache(model, folder).get(feed, failing, "plan")
    found = get(model, feed, folder, asked=asked)

    assert asked == [4, 5, 6]
    assert same(found, get(model, feed, None))


@pytest.mark.parametrize(("extracted", "kept"), [(1, 0), (5, 4)])
def test_an_extraction_that_is_killed_goes_on_where_it_was(
    model, feed, folder, context, images, extracted, kept
):
    process = context.Process(target=cached.die_after, args=(extracted, images, folder))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    asked = []

    found = get(model, feed, folder, asked=asked)

    assert asked == list(range(kept, IMAGES))
    assert same(found, get(model, feed, None))


def test_processes_use_a_folder_at_the_same_time(model, feed, folder, context, images, tmp_path):
    barrier, orders = context.Barrier(2), [[*range(IMAGES)], [6, 5, 4, 3, 2, 1]]
    outs = [tmp_path / "first.safetensors", tmp_path / "second.safetensors"]
    processes = [
        context.Process(target=cached.get_at_once, args=(barrier, rows, images, folder, out))
        for rows, out in zip(orders, outs, strict=True)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0]
    whole = Cache(model, folder).get(feed, never, "plan")
    for rows, out in zip(orders, outs, strict=True):
        found = load_file(out)
        assert torch.equal(found["query"], whole.query[rows])
        assert torch.equal(found["memory"], whole.memory[rows])
    for ours, plain in zip(whole, get(model, feed, None), strict=True):
        torch.testing.assert_close(ours, plain, rtol=2e-3, atol=1e-5)


def test_runs_on_other_splits_extract_an_image_once(tmp_path, monkeypatch, folder):
    inputs, extracted, extract = tmp_path / "inputs", [], features.extract
    inputs.mkdir()

    def counted(scoring, images):
        return extract(scoring, (extracted.append(None) or crops for crops in images))

    monkeypatch.setattr(features, "extract", counted)
    experiment = runs.splittable(runs.write_inputs(inputs), *runs.FROZEN, cache=folder)
    repeat(experiment, tmp_path / "out", 3, report=runs.silent)

    kept = []
    for path in folder.iterdir():
        with contextlib.closing(sqlite3.connect(path)) as base:
            kept += base.execute("SELECT count(*) FROM features").fetchone()
    assert len(kept) == 3  # random crops, twins, the plan
    assert max(kept) <= 30
    assert sum(kept) == len(extracted)


def shortened(path, size):
    path.write_bytes(path.read_bytes()[:size])


def overwritten(path, start, garbage):
    data = path.read_bytes()
    path.write_bytes(data[:start] + garbage + data[start + len(garbage) :])


def exchanged(path):
    """Two images with the features of each other."""
    with sqlite3.connect(path) as base:
        rows = base.execute("SELECT tensors, crc, rowid FROM features LIMIT 2").fetchall()
        swapped = [(*a[:2], b[2]) for a, b in zip(rows, rows[::-1], strict=True)]
        base.executemany("UPDATE features SET tensors = ?, crc = ? WHERE rowid = ?", swapped)
    base.close()


@pytest.mark.parametrize(
    "damage",
    [
        partial(shortened, size=50),
        partial(shortened, size=5000),
        partial(shortened, size=-4096),
        partial(shortened, size=-100),
        partial(overwritten, start=0, garbage=b"garbage" * 1000),
        partial(overwritten, start=-200, garbage=b"\0" * 100),
        exchanged,
    ],
)
def test_damage_is_refused_with_the_name_of_the_file(model, feed, folder, damage):
    get(model, feed, folder)
    (path,) = folder.iterdir()
    damage(path)

    with pytest.raises(
        DatasetError, match=r"cached features are damaged: .*\. Delete it$"
    ) as error:
        get(model, feed, folder)

    assert str(error.value).startswith(f"{path}: ")


def test_a_file_that_another_process_does_not_let_go_is_not_called_damaged(
    model, feed, folder, monkeypatch
):
    get(model, feed, folder)
    (path,) = folder.iterdir()
    monkeypatch.setattr(
        sqlite3, "connect", lambda path, timeout, connect=sqlite3.connect: connect(path, timeout=0)
    )
    other = sqlite3.connect(path, timeout=0)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(DatasetError, match=r"cannot be read or written: database is locked"):
        get(model, feed, folder)
    other.close()

    Cache(model, folder).get(feed, never, "plan")
