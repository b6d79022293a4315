"""Processes that decode: what is fatal to one costs its image."""

import io
import os
import signal
import socket
import sys
import threading
import time
from contextlib import closing

import pytest
from PIL import Image

from helpers import tiny
from helpers.processes import decoders
from lifeiqa.bulk.items import Address, Data, File, Item
from lifeiqa.bulk.shards import Plan, reading_pool
from lifeiqa.errors import DatasetError, WorkerError
from lifeiqa.preprocess import process_pool
from lifeiqa.preprocess.pipeline import CutImage
from lifeiqa.preprocess.process_worker import Failure


def pool(workers=1, seconds=5.0, thumbnail=False):
    cutting = CutImage(tiny.manifest().preprocessing, tiny.SIZE, thumbnail=thumbnail)
    return reading_pool(cutting, Plan(workers=workers, seconds=seconds))


def decoded(items, workers=1, **settings):
    with pool(workers, **settings) as processes:
        return [list(parts) for _, parts in processes.results(items)]


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

    assert failure == Failure("WorkerError", "decoding it took more than 0.05 s of processor time")
    assert first[0].crops[0, 0, 0, 0] == 0
    assert second[0].crops[0, 0, 0, 0] == 1


def test_a_process_that_is_killed_costs_its_image_alone(images, silent):
    server, item = silent
    found = []
    with pool() as processes:
        for each, parts in processes.results([images[0], item, images[1]]):
            if each is item:
                with closing(server.accept()[0]):  # it asks now
                    os.kill(*decoders(), signal.SIGKILL)
            found += parts

    assert found[1] == Failure(
        "WorkerError",
        "the process that decoded it died (SIGKILL, out of memory?)",
    )
    assert [part.crops[0, 0, 0, 0] for part in (found[0], found[2])] == [0, 1]


def test_silence_costs_its_image_alone(monkeypatch, images, silent):
    monkeypatch.setattr(process_pool, "STALL", 0.5)

    (failure,), (part,) = decoded([silent[1], images[3]])

    assert failure == Failure("WorkerError", "the process that decodes it hung for 0.5 s")
    assert part.crops[0, 0, 0, 0] == 3


def test_no_process_outlives_its_pool(images):
    with pool(2) as processes:
        first(processes.results(images))
        assert decoders()

    assert not decoders()
    assert not [each for each in threading.enumerate() if each.name.startswith("decoder")]


def test_a_process_ends_when_the_one_that_started_it_is_gone(images):
    """As it is after kill -9: nobody closes anything in order."""
    processes = pool()
    first(processes.results(images))
    (child,) = decoders()
    (worker,) = processes._alive
    worker._connection.close()

    for _ in range(100):
        if worker._process.poll() is not None:
            break
        time.sleep(0.05)
    assert worker._process.poll() == 0
    assert child not in decoders()
    processes.close()


def test_a_process_that_cannot_start_ends_the_run(monkeypatch, images):
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(WorkerError, match="ended at its start with exit status 1: /bin/false"):
        decoded(images)


def test_a_process_in_place_of_a_dead_one_may_start_at_the_second_try(monkeypatch, images):
    """Where memory is short, the one that starts is the next to be killed."""
    monkeypatch.setattr(process_pool, "_PAUSES", (0.05,) * 100)
    works = sys.executable
    with pool() as processes:
        first(processes.results(images[:1]))
        monkeypatch.setattr(sys, "executable", "/bin/false")
        (worker,) = processes._alive
        worker.kill()  # while it has no image
        worker._process.wait()  # until the last of its threads is gone
        threading.Timer(0.5, lambda: setattr(sys, "executable", works)).start()
        found = [list(parts) for _, parts in processes.results(images[:2])]

    assert [part.crops[0, 0, 0, 0] for (part,) in found] == [0, 1]


def test_what_stands_before_an_error_of_the_source_is_decoded(images):
    def source():
        yield from images[:7]
        raise DatasetError("the list ends in nonsense")

    found = []
    with pool(2) as processes, pytest.raises(DatasetError, match="ends in nonsense"):
        found.extend(list(parts) for _, parts in processes.results(source()))

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

    with pool() as processes:
        found = processes.results(watched())
        for _ in range(5):
            next(found)
        assert len(asked) <= 5 + 64


def test_bytes_that_wait_are_bounded(monkeypatch, images, tmp_path):
    monkeypatch.setattr(process_pool, "_MOST_BYTES", 100_000)
    data = (tmp_path / "1.png").read_bytes() + bytes(50_000)
    asked = []

    def watched():
        for number in range(50):
            asked.append(number)
            yield Item(str(number), Data(data))

    with pool() as processes:
        found = processes.results(watched())
        next(found)
        assert len(asked) == 2


def test_a_failure_that_is_known_already_passes_through(images):
    known = Item("folder", Failure("ImageError", "Permission denied"))

    assert decoded([known, images[2]])[0] == [known.origin]


@pytest.mark.parametrize("thumbnail", [False, True])
def test_a_thumbnail_is_made_when_asked_for(images, thumbnail):
    ((part,),) = decoded(images[:1], thumbnail=thumbnail)

    assert (part.thumbnail is not None) == thumbnail


def first(found):
    _, parts = next(found)
    return list(parts)


def test_an_image_that_asks_for_too_much_memory_costs_itself_alone(images):
    """34 bytes, of which a WebP decoder makes 128 megapixels, with as much again for itself."""
    bomb = Image.new("RGB", (16000, 8000))
    stream = io.BytesIO()
    bomb.save(stream, "WEBP", lossless=True, method=0)

    (failure,), (part,) = decoded([Item("bomb", Data(stream.getvalue())), images[4]])

    assert failure == Failure("WorkerError", "decoding it takes more than 1250 MiB of memory")
    assert part.crops[0, 0, 0, 0] == 4
