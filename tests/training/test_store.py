"""Stored crops: made once, whole after a kill, shared by tables and processes."""

import dataclasses
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from lifeiqa.errors import DatasetError
from lifeiqa.training.store import CropStore

COUNT, SIZE, FILES = 2, 3, 150


@dataclasses.dataclass(frozen=True)
class Make:
    """Crops that say which file they are of; notes every file that it is asked for."""

    log: Path
    dies_at: int = -1

    def __call__(self, path):
        number = int(path.stem)
        if number == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        with self.log.open("a") as log:
            log.write(f"{number}\n")
        return np.full((COUNT, SIZE, SIZE, 3), number, np.uint8)


@pytest.fixture
def paths(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number}.png").write_bytes(b"x" * number)
    return [folder / f"{number}.png" for number in range(FILES)]


@pytest.fixture
def make(tmp_path):
    return Make(tmp_path / "log.txt")


def store(tmp_path, key="key"):
    return CropStore(tmp_path / "store", key, COUNT, SIZE)


def made(make):
    numbers = [int(line) for line in make.log.read_text().splitlines()]
    make.log.write_text("")
    return numbers


def found(tmp_path, rows):
    """The number that the crops of each row say, all pixels alike."""
    crops = store(tmp_path).crops()[rows]
    assert crops.shape == (len(rows), COUNT, SIZE, SIZE, 3)
    assert (crops == crops[:, :1, :1, :1, :1]).all()
    return crops[:, 0, 0, 0, 0].tolist()


@pytest.mark.parametrize("workers", [0, 2])
def test_crops_are_made_once_each_and_found_by_row(tmp_path, paths, make, workers):
    rows = store(tmp_path).fill(paths, make, workers=workers)

    assert found(tmp_path, rows) == list(range(FILES))
    assert sorted(made(make)) == list(range(FILES))
    again = store(tmp_path).fill(paths, make, workers=workers)
    assert made(make) == []
    np.testing.assert_array_equal(again, rows)


def test_tables_share_the_images_that_they_have_in_common(tmp_path, paths, make):
    store(tmp_path).fill(paths[:10], make)
    made(make)

    rows = store(tmp_path).fill([paths[12], paths[3], paths[12], paths[11], paths[0]], make)

    assert sorted(made(make)) == [11, 12]
    assert found(tmp_path, rows) == [12, 3, 12, 11, 0]


def test_another_key_is_another_file(tmp_path, paths, make):
    store(tmp_path).fill(paths[:2], make)
    store(tmp_path, "other").fill(paths[:2], make)

    assert sorted(made(make)) == [0, 0, 1, 1]


def test_a_changed_image_is_made_anew(tmp_path, paths, make):
    store(tmp_path).fill(paths[:3], make)
    made(make)
    paths[1].write_bytes(b"another")

    rows = store(tmp_path).fill(paths[:3], make)

    assert made(make) == [1]
    assert found(tmp_path, rows) == [0, 1, 2]


def fill(folder, paths, make):
    store(folder).fill(paths, make)


@pytest.mark.parametrize("dies_at", [0, 63, 64, 100, FILES - 1])
def test_what_was_killed_goes_on_where_it_was(tmp_path, paths, make, dies_at):
    dying = dataclasses.replace(make, dies_at=dies_at)
    process = multiprocessing.get_context("fork").Process(
        target=fill, args=(tmp_path, paths, dying)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    make.log.touch()
    before = made(make)

    rows = store(tmp_path).fill(paths, make)

    after = made(make)
    assert found(tmp_path, rows) == list(range(FILES))
    assert before == list(range(dies_at))
    assert after == list(range(dies_at // 64 * 64, FILES))


def test_crops_of_another_shape_are_refused(tmp_path, paths, make):
    with pytest.raises(DatasetError, match=r"0\.png: its crops are \(2, 3, 3, 3\), not \(1, 3,"):
        CropStore(tmp_path / "store", "key", 1, SIZE).fill(paths, make)


def test_a_damaged_store_is_refused(tmp_path, paths, make):
    whole = store(tmp_path)
    whole.fill(paths, make)
    os.truncate(whole.path, 100)
    with pytest.raises(DatasetError, match="crops are cut off"):
        store(tmp_path).fill(paths, make)
    whole.index.write_text("{")
    with pytest.raises(DatasetError, match="index of stored crops is damaged"):
        store(tmp_path).crops()
