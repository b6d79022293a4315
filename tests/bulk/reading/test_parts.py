"""What a worker makes of one item, without its process."""

import os

import pytest

from helpers import tiny
from lifeiqa.bulk.items import File, Item, Member
from lifeiqa.bulk.reading.parts import ReadItem
from lifeiqa.preprocess import pipeline
from lifeiqa.preprocess.pipeline import CutImage
from lifeiqa.preprocess.process_worker import Failure, answers

TASK = ReadItem(CutImage(tiny.manifest().preprocessing, tiny.SIZE))


def parts(path):
    return list(answers(TASK, Item("name", File(str(path))), 5.0))


@pytest.mark.parametrize("way", ["replaced", "written to", "removed"])
def test_an_image_that_is_changed_while_it_is_read_has_no_score(tmp_path, monkeypatch, way):
    """Its digest would be that of another image, which would get this one's score."""
    path = tiny.write_image(tmp_path / "a.png", 10)
    other = tiny.write_image(tmp_path / "other.png", 200)
    cut = pipeline.cut

    def changing(*arguments, **options):
        found = cut(*arguments, **options)
        if way == "replaced":
            os.replace(other, path)  # noqa: PTH105
        elif way == "written to":
            path.write_bytes(other.read_bytes() + b" ")
        else:
            path.unlink()
        return found

    monkeypatch.setattr(pipeline, "cut", changing)

    (failure,) = parts(path)

    assert failure.kind == "ImageError"
    wanted = "No such file" if way == "removed" else "the file changed while it was read"
    assert wanted in failure.message


def test_an_archive_that_is_gone_is_an_error_of_its_image(tmp_path):
    item = Item("a.tar/0.png", Member(str(tmp_path / "a.tar"), 512, 100))

    assert list(answers(TASK, item, 5.0)) == [Failure("ImageError", "No such file or directory")]


def test_memory_that_is_not_there_is_told_as_such(tmp_path, monkeypatch):
    def greedy(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(pipeline, "cut", greedy)

    (failure,) = parts(tiny.write_image(tmp_path / "a.png", 10))

    assert failure == Failure("WorkerError", "decoding it takes more than 1250 MiB of memory")
