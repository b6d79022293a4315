"""Processes that decode: what is fatal to one costs its image."""

import contextlib
import io
import os
import signal
import socket
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from helpers import tiny
from lifeiqa.bulk.items import Address, Data, Failure, File, Item
from lifeiqa.bulk.work import pool
from lifeiqa.bulk.work.decoder import Task
from lifeiqa.bulk.work.pool import Pool
from lifeiqa.errors import DatasetError, WorkerError
from lifeiqa.preprocess.decode import MAX_PIXELS


def task(seconds=5.0, thumbnails=False):
    preprocessing = tiny.manifest().preprocessing
    return Task(preprocessing, tiny.SIZE, MAX_PIXELS, thumbnails=thumbnails, seconds=seconds)


def decoded(items, workers=1, **settings):
    with Pool(task(**settings), workers, 5) as decoders:
        return [list(parts) for _, parts in decoders.decoded(items)]


@pytest.fixture
def images(tmp_path):
    paths = [tiny.write_image(tmp_path / f"{grey}.png", grey) for grey in range(20)]
    return [Item(path.name, File(str(path))) for path in paths]


@pytest.fixture
def slow(tmp_path):
    """An image that takes much longer than any other."""
    path = tiny.write_image(tmp_path / "slow.png", 99, (5000, 5000))
    return Item(path.name, File(str(path)))


@pytest.fixture
def silent():
    """A server that never answers, and its address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server, Item("silent", Address(f"http://127.0.0.1:{server.getsockname()[1]}/a.png"))


@pytest.mark.parametrize("workers", [1, 3])
def test_images_come_back_in_order_however_slow_one_is(images, slow, workers):
    found = decoded([slow, *images], workers=workers)

    assert [parts[0].crops[0, 0, 0, 0] for parts in found] == [99, *range(20)]
    assert {len(parts) for parts in found} == {1}


def test_an_image_that_takes_too_much_time_costs_itself_alone(images, slow):
    first, (failure,), second = decoded([images[0], slow, images[1]], seconds=0.05)

    assert failure == Failure("WorkerError", "it took more than 0.05 s of processor time")
    assert first[0].crops[0, 0, 0, 0] == 0
    assert second[0].crops[0, 0, 0, 0] == 1


def test_a_process_that_is_killed_costs_its_image_alone(images, silent):
    server, item = silent
    found = []
    with Pool(task(), 1, 5) as decoders:
        for each, parts in decoders.decoded([images[0], item, images[1]]):
            if each is item:
                with closing(server.accept()[0]):  # it asks now
                    os.kill(*children(), signal.SIGKILL)
            found += parts

    assert found[1] == Failure(
        "WorkerError",
        "the process that decoded it died (SIGKILL, perhaps for want of memory)",
    )
    assert [part.crops[0, 0, 0, 0] for part in (found[0], found[2])] == [0, 1]


def test_silence_costs_its_image_alone(monkeypatch, images, silent):
    monkeypatch.setattr(pool, "STALL", 0.5)

    (failure,), (part,) = decoded([silent[1], images[3]])

    assert failure == Failure("WorkerError", "nothing came of it for 0.5 s")
    assert part.crops[0, 0, 0, 0] == 3


def test_no_process_outlives_its_pool(images):
    with Pool(task(), 2, 5) as decoders:
        first(decoders.decoded(images))
        assert children()

    assert not children()
    assert not [each for each in threading.enumerate() if each.name.startswith("decoder")]


def test_a_process_ends_when_the_one_that_started_it_is_gone(images):
    """As it is after kill -9: nobody closes anything in order."""
    decoders = Pool(task(), 1, 5)
    first(decoders.decoded(images))
    (child,) = children()
    (worker,) = decoders._alive
    worker._connection.close()

    for _ in range(100):
        if worker._process.poll() is not None:
            break
        time.sleep(0.05)
    assert worker._process.poll() == 0
    assert child not in children()
    decoders.close()


def test_a_process_that_cannot_start_ends_the_run(monkeypatch, images):
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(WorkerError, match="ended at its start with exit status 1: /bin/false"):
        decoded(images)


def test_a_process_in_place_of_a_dead_one_may_start_at_the_second_try(monkeypatch, images):
    """Where memory is short, the one that starts is the next to be killed."""
    monkeypatch.setattr(pool, "_PAUSES", (0.05,) * 100)
    works = sys.executable
    with Pool(task(), 1, 5) as decoders:
        first(decoders.decoded(images[:1]))
        monkeypatch.setattr(sys, "executable", "/bin/false")
        (worker,) = decoders._alive
        worker.kill()  # while it has no image
        worker._process.wait()  # until the last of its threads is gone
        threading.Timer(0.5, lambda: setattr(sys, "executable", works)).start()
        found = [list(parts) for _, parts in decoders.decoded(images[:2])]

    assert [part.crops[0, 0, 0, 0] for (part,) in found] == [0, 1]


def test_what_stands_before_an_error_of_the_source_is_decoded(images):
    def source():
        yield from images[:7]
        raise DatasetError("the list ends in nonsense")

    found = []
    with Pool(task(), 2, 5) as decoders, pytest.raises(DatasetError, match="ends in nonsense"):
        found.extend(list(parts) for _, parts in decoders.decoded(source()))

    assert [part.crops[0, 0, 0, 0] for (part,) in found] == [*range(7)]


def test_modules_of_the_folder_that_is_scored_are_not_imported(monkeypatch, images, tmp_path):
    (tmp_path / "PIL.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])

    assert decoded(images[:1])[0][0].crops.shape == (5, tiny.SIZE, tiny.SIZE, 3)


def test_inputs_are_asked_for_as_room_is_made(images):
    asked = []

    def watched():
        for number in range(1000):
            asked.append(number)
            yield images[number % 20]

    with Pool(task(), 1, 5) as decoders:
        found = decoders.decoded(watched())
        for _ in range(5):
            next(found)
        assert len(asked) <= 5 + 64


def test_bytes_that_wait_are_bounded(monkeypatch, images, tmp_path):
    monkeypatch.setattr(pool, "_MOST_BYTES", 100_000)
    data = (tmp_path / "1.png").read_bytes() + bytes(50_000)
    asked = []

    def watched():
        for number in range(50):
            asked.append(number)
            yield Item(str(number), Data(data))

    with Pool(task(), 1, 5) as decoders:
        found = decoders.decoded(watched())
        next(found)
        assert len(asked) == 2


def test_a_failure_that_is_known_already_passes_through(images):
    known = Item("folder", Failure("ImageError", "Permission denied"))

    assert decoded([known, images[2]])[0] == [known.origin]


@pytest.mark.parametrize("thumbnails", [False, True])
def test_a_thumbnail_comes_when_asked_for(images, thumbnails):
    ((part,),) = decoded(images[:1], thumbnails=thumbnails)

    assert (part.thumbnail is not None) == thumbnails


def first(found):
    _, parts = next(found)
    return list(parts)


def children():
    """Process ids of the workers that this process started and that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            ours = int(parent) == os.getpid() and state != "Z"
            if ours and "bulk.work.decoder" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


def test_an_image_that_asks_for_too_much_memory_costs_itself_alone(images):
    """34 bytes, of which a WebP decoder makes 128 megapixels, with as much again for itself."""
    bomb = Image.new("RGB", (16000, 8000))
    stream = io.BytesIO()
    bomb.save(stream, "WEBP", lossless=True, method=0)

    (failure,), (part,) = decoded([Item("bomb", Data(stream.getvalue())), images[4]])

    assert failure == Failure("WorkerError", "it takes more than 1250 MiB to decode")
    assert part.crops[0, 0, 0, 0] == 4
