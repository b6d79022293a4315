"""What a worker makes of one item, without its process."""

import os

import pytest

from helpers import tiny
from lifeiqa.bulk.items import Failure, File, Item, Member
from lifeiqa.bulk.work import decoder as worker
from lifeiqa.bulk.work.decoder import Task, parts_of
from lifeiqa.preprocess.decode import MAX_PIXELS

TASK = Task(tiny.manifest().preprocessing, tiny.SIZE, MAX_PIXELS, thumbnails=False, seconds=5.0)


def parts(path):
    return list(parts_of(Item("name", File(str(path))), TASK))


@pytest.mark.parametrize("way", ["replaced", "written to", "removed"])
def test_an_image_that_is_changed_while_it_is_read_has_no_score(tmp_path, monkeypatch, way):
    """Its digest would be that of another image, which would get this one's score."""
    path = tiny.write_image(tmp_path / "a.png", 10)
    other = tiny.write_image(tmp_path / "other.png", 200)
    cut = worker.cut

    def changing(*arguments, **options):
        found = cut(*arguments, **options)
        if way == "replaced":
            os.replace(other, path)  # noqa: PTH105
        elif way == "written to":
            path.write_bytes(other.read_bytes() + b" ")
        else:
            path.unlink()
        return found

    monkeypatch.setattr(worker, "cut", changing)

    (failure,) = parts(path)

    assert failure.kind == "ImageError"
    wanted = "No such file" if way == "removed" else "it was changed while it was read"
    assert wanted in failure.message


def test_an_archive_that_is_gone_is_an_error_of_its_image(tmp_path):
    item = Item("a.tar/0.png", Member(str(tmp_path / "a.tar"), 512, 100))

    assert list(parts_of(item, TASK)) == [Failure("ImageError", "No such file or directory")]


@pytest.mark.parametrize("path", ["./bad.png", ".//bad.png", "././bad.png"])
def test_a_message_does_not_name_the_image_again(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.png").write_text("dear diary")

    (failure,) = parts(path)

    assert failure.message.startswith("not an image in a format that is read")


def test_memory_that_is_not_there_is_told_as_such(tmp_path, monkeypatch):
    def greedy(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(worker, "cut", greedy)

    (failure,) = parts(tiny.write_image(tmp_path / "a.png", 10))

    assert failure == Failure("WorkerError", "it takes more than 1250 MiB to decode")
