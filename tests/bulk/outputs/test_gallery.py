"""The gallery against sorted lists, and against disks and files that fail it."""

import dataclasses
import os
import random
import sqlite3
import subprocess
import sys
from itertools import pairwise

import pytest

from lifeiqa.bulk.outputs.gallery import Counts, Gallery
from lifeiqa.bulk.rows import Row
from lifeiqa.errors import OutputError


def row(path="a.png", score=None, **values):
    return Row(path=path, score=score, model="tiny", model_sha256="0" * 64, **values)


def failure(path, error="ImageError", message="damaged"):
    return row(path, error=error, message=message)


@pytest.fixture
def gallery(tmp_path):
    with Gallery(tmp_path / "gallery.sqlite") as opened:
        yield opened


def fill(gallery, number, *rows):
    with gallery.batch(number) as add:
        for each in rows:
            add(each, each.path.encode())


def everything(gallery, **order):
    return list(gallery.images(**{"lowest": True, "limit": 10**9, **order}))


def paths(entries):
    return [each.path for each, _ in entries]


def test_rows_come_back_as_they_were_put_in(gallery):
    frame = row("v.mp4", 0.5, std=0.25, width=1, height=2, crops=5, frame=3, time=0.125)
    video = row("v.mp4", 0.5, p5=0.25, worst_second=0.125, worst_time=2.0)
    broken = failure("b.png", message='a "message"\nwith\0all')
    with gallery.batch(0) as add:
        add(frame, b"webp")
        add(video, None)
        add(broken, None)

    assert everything(gallery) == [(frame, b"webp")]
    assert list(gallery.videos(lowest=True, limit=9)) == [(video, None)]
    assert list(gallery.failures(limit=9)) == [(broken, None)]
    assert gallery.counts() == Counts(images=1, frames=1, videos=1, failures=1)


def test_order_extent_and_histogram_are_those_of_a_sorted_list(gallery):
    draw = random.Random(0)
    scores = [draw.choice([draw.gauss(0.5, 0.2), 0.25]) for _ in range(500)]
    for number in range(5):
        fill(gallery, number, *(row(f"{i}", scores[i]) for i in range(number, 500, 5)))

    added = [i for number in range(5) for i in range(number, 500, 5)]
    expected = [str(i) for i in sorted(added, key=scores.__getitem__)]  # stable, as ties are
    edges = [-1.0, 0.0, 0.25, 0.5, 0.75, 2.0]
    assert paths(everything(gallery)) == expected
    assert paths(everything(gallery, lowest=False)) == expected[::-1]
    assert paths(everything(gallery, limit=7)) == expected[:7]
    assert gallery.extent() == (min(scores), max(scores))
    assert gallery.histogram(edges) == [
        sum(low <= score < high for score in scores) for low, high in pairwise(edges)
    ]


def test_an_empty_gallery_has_no_extent():
    with Gallery() as gallery:
        assert gallery.extent() is None
        assert gallery.counts() == Counts(0, 0, 0, 0)
        assert gallery.histogram([0, 1]) == [0]
        assert everything(gallery) == []


def test_failures_are_grouped_by_class_the_most_frequent_first(gallery):
    fill(gallery, 0, failure("a", "VideoError"), failure("b"), row("good", 1.0), failure("c"))

    assert list(gallery.failure_counts().items()) == [("ImageError", 2), ("VideoError", 1)]
    assert paths(gallery.failures(limit=9)) == ["b", "c", "a"]
    assert paths(gallery.failures(limit=1)) == ["b", "a"]


def test_a_batch_that_comes_again_replaces_the_first_and_keeps_its_place(gallery):
    fill(gallery, 0, row("a", 1.0), row("b", 1.0))
    fill(gallery, 1, row("c", 1.0))
    fill(gallery, 0, row("d", 1.0))

    assert paths(everything(gallery)) == ["d", "c"]


def test_batches_from_a_number_on_are_dropped(gallery):
    for number in range(4):
        fill(gallery, number, row(str(number), 1.0), failure(f"{number}!"))
    gallery.drop_from(2)

    assert paths(everything(gallery)) == ["0", "1"]
    assert gallery.failure_counts() == {"ImageError": 2}


def test_a_batch_that_fails_leaves_the_gallery_as_it_was(gallery):
    fill(gallery, 0, row("old", 1.0))
    with pytest.raises(AttributeError):
        fill(gallery, 0, row("new", 2.0), None)
    assert paths(everything(gallery)) == ["old"]

    fill(gallery, 0, row("new", 2.0))
    assert paths(everything(gallery)) == ["new"]


def test_a_killed_process_leaves_whole_batches(tmp_path):
    path = tmp_path / "gallery.sqlite"
    code = f"""
import os, pathlib
from lifeiqa.bulk.outputs.gallery import Gallery
from lifeiqa.bulk.rows import Row
gallery = Gallery(pathlib.Path({str(path)!r}))
for number in range(2):
    with gallery.batch(number) as add:
        for i in range(20_000):  # more than the cache holds, so a part is in the file already
            row = Row(path=str(number), score=i, model="tiny", model_sha256="0")
            add(row, bytes(1500))
            if number and i == 19_000:
                os.kill(os.getpid(), 9)
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.PIPE)
    assert killed.returncode == -9, killed.stderr

    with Gallery(path) as gallery:
        assert gallery.counts().images == 20_000
        assert set(paths(everything(gallery))) == {"0"}


def test_a_gallery_is_there_again_when_it_is_opened_again(tmp_path):
    path = tmp_path / "gallery.sqlite"
    with Gallery(path) as gallery:
        fill(gallery, 0, row("a", 1.0))
    with Gallery(path) as gallery:
        fill(gallery, 1, row("b", 0.0))
        assert paths(everything(gallery)) == ["b", "a"]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_a_failure_that_says_so(gallery, score):
    fill(gallery, 0, row("a", score))

    (found, _), *more = gallery.failures(limit=9)
    assert more == []
    assert (found.score, found.error, found.message) == (
        None,
        "ValueError",
        f"the model returned {score}",
    )
    assert gallery.extent() is None


def test_a_row_without_score_or_error_is_not_lost(gallery):
    fill(gallery, 0, row("a"))

    assert gallery.failure_counts() == {"LifeIQAError": 1}
    assert paths(gallery.failures(limit=9)) == ["a"]


def test_a_name_that_is_no_utf_8_is_kept_in_escapes(gallery):
    fill(gallery, 0, dataclasses.replace(row("\\udcff.png", 1.0)))
    with gallery.batch(1) as add:
        add(row(os.fsdecode(b"\xff.png"), 2.0), None)

    assert paths(everything(gallery)) == ["\\udcff.png", "\\udcff.png"]


def test_a_full_disk_says_so_and_the_batches_before_stay(tmp_path):
    resource = pytest.importorskip("resource", reason="this system has no limit on file sizes")
    path = tmp_path / "gallery.sqlite"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Gallery(path) as gallery:
        fill(gallery, 0, row("a", 1.0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
        try:
            with pytest.raises(OutputError, match=r"gallery.sqlite: .* run the same command again"):
                fill(gallery, 1, *(row(f"{i:3000}", 1.0) for i in range(1000)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert paths(everything(gallery)) == ["a"]
        fill(gallery, 1, row("b", 2.0))
        assert paths(everything(gallery)) == ["a", "b"]


def test_a_file_that_is_no_gallery_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "diary.txt"
    path.write_text("dear diary, " * 100)

    with pytest.raises(OutputError, match=r"diary.txt: file is not a database. It is damaged"):
        Gallery(path)
    assert path.read_text() == "dear diary, " * 100


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE rows (a)")
    other.close()

    with pytest.raises(OutputError, match=r"not a gallery of format 3 \(its version is 0\)"):
        Gallery(path)
    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("rows",)]
    other.close()


def test_a_damaged_gallery_says_so(tmp_path):
    path = tmp_path / "gallery.sqlite"
    with Gallery(path) as gallery:
        fill(gallery, 0, *(row(f"{i}", float(i)) for i in range(2000)))
    with path.open("r+b") as stream:
        stream.seek(3 * 4096)
        stream.write(b"\xff" * (path.stat().st_size - 3 * 4096))

    with Gallery(path) as gallery, pytest.raises(OutputError, match="damaged: delete it"):
        everything(gallery)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"nowhere.*unable to open database file"):
        Gallery(tmp_path / "nowhere" / "g.sqlite")


def test_a_temporary_gallery_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    with Gallery() as gallery:
        fill(gallery, 0, *(row(f"{i}", float(i)) for i in range(10)))
        assert len(everything(gallery)) == 10
    assert list(tmp_path.iterdir()) == []
