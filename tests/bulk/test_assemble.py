"""From images to rows: batches across images, order, images that come again."""

import contextlib
import shutil
import weakref

import numpy as np
import pytest
from PIL import Image

from helpers import tiny
from lifeiqa import open_session
from lifeiqa.bulk.assemble import scored
from lifeiqa.bulk.items import Data, File, Item, Part
from lifeiqa.bulk.outputs.ledger import Ledger
from lifeiqa.bulk.shards import Plan, score_items
from lifeiqa.errors import ConfigError, DatasetError
from lifeiqa.preprocess.process_worker import Failure
from lifeiqa.scorer import Scorer


class Watched:
    """A session that notes the batches that it runs."""

    def __init__(self, session):
        self._session = session
        self.manifest, self.runtime = session.manifest, session.runtime
        self.batches = []

    def run(self, crops):
        self.batches.append(len(crops))
        return self._session.run(crops)

    def close(self):
        self._session.close()


@pytest.fixture
def watched(model):
    with Scorer(
        Watched(open_session(model, runtime="onnxruntime", device="cpu", threads=1))
    ) as scorer:
        yield scorer


@pytest.fixture
def images(tmp_path):
    return [tiny.write_image(tmp_path / f"{grey}.png", 10 * grey) for grey in range(12)]


def test_rows_say_what_the_scorer_says(rows_of, scorer, tmp_path):
    generator = np.random.default_rng(1)
    sizes = [(40, 60), (100, 33), (32, 32)]
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, (width, height) in zip(paths, sizes, strict=True):
        noise = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)

    for path, size, row in zip(paths, sizes, rows_of(paths), strict=True):
        score = scorer.score(path)
        assert (row.score, row.std, row.crops) == (score.value, score.std, len(score.crops))
        assert (row.width, row.height) == size
        assert (row.path, row.model) == (str(path), "tiny")
        assert row.model_sha256 == scorer.manifest.sha256
        assert row.error is row.message is row.frame is None


@pytest.mark.parametrize("batch", [1, 7, 50])
def test_images_may_have_different_numbers_of_crops(rows_of, model, tmp_path, batch):
    lengths = [32, 100, 40, 512, 513, 9000, 33]
    paths = [tmp_path / f"{length}.png" for length in lengths]
    for number, (path, length) in enumerate(zip(paths, lengths, strict=True)):
        Image.new("RGB", (length, 32), (9 * number,) * 3).save(path)

    with Scorer(model, crops="cover", runtime="onnxruntime", device="cpu", threads=1) as scorer:
        rows = rows_of([*paths, paths[5]], scorer=scorer, batch=batch)

    assert [row.crops for row in rows] == [1, 4, 2, 16, 16, 16, 2, 16]
    assert [row.score for row in rows] == [*(9 * number for number in range(7)), 45]
    assert all(row.error is None for row in rows)
    notes = [row.message for row in rows]
    assert [note is not None for note in notes] == [False] * 4 + [True] * 2 + [False, True]
    assert notes[4] == "the image is too long for crop plan cover: its 16 crops leave gaps"


@pytest.mark.parametrize("batch", [1, 8, 50])
def test_batches_reach_across_images_and_end_with_their_shard(watched, rows_of, images, batch):
    rows = rows_of(images, scorer=watched, batch=batch, shard=10)

    assert [row.score for row in rows] == [10 * grey for grey in range(12)]
    assert watched.session.batches == {1: [1] * 60, 8: [8] * 6 + [2, 8, 2], 50: [50, 10]}[batch]


@pytest.mark.parametrize("workers", [1, 3])
def test_rows_keep_the_order_of_the_inputs(rows_of, images, tmp_path, workers):
    (tmp_path / "bad.png").write_text("dear diary")
    inputs = [images[3], tmp_path / "bad.png", images[1], tmp_path / "lost.png", images[2]]

    rows = rows_of(inputs, workers=workers, batch=7)

    assert [row.path for row in rows] == [str(path) for path in inputs]
    assert [row.score for row in rows] == [30, None, 10, None, 20]
    assert rows[3].error == "ImageError"
    assert rows[3].message == "No such file or directory"


def test_an_image_that_comes_again_is_scored_once(watched, rows_of, images, tmp_path):
    copy = shutil.copy(images[1], tmp_path / "copy.png")
    again = Item("bytes", Data(images[1].read_bytes()))

    rows = rows_of([images[1], copy, images[1], images[2], again], scorer=watched, batch=4)

    assert [row.score for row in rows] == [10, 10, 10, 20, 10]
    assert len({(row.std, row.crops, row.width) for row in rows}) == 1
    assert sum(watched.session.batches) == 2 * 5


def test_an_image_of_an_earlier_shard_is_scored_once(watched, rows_of, images):
    rows = rows_of([*images, *images], scorer=watched, shard=5)

    assert [row.score for row in rows] == 2 * [10 * grey for grey in range(12)]
    assert sum(watched.session.batches) == 12 * 5


@pytest.mark.parametrize("gain", ["nan", "inf"])
def test_a_score_that_is_no_number_is_an_error(tmp_path, rows_of, images, gain):
    model = tiny.write_model(tmp_path / "tiny.onnx", gain=float(gain))
    with Scorer(model, runtime="onnxruntime", device="cpu", threads=1) as scorer:
        rows = rows_of([images[1], images[1]], scorer=scorer)

    for row in rows:
        assert (row.error, row.score) == ("ArtifactError", None)
        assert row.message.startswith(f"the model returned {gain}. ")


def test_crops_of_an_image_that_came_before_are_not_kept(scorer):
    """A thousand copies of one image wait for a batch to fill: their rows do, and no more."""
    alive, most = [], 0

    def decoded():
        nonlocal most
        for number in range(100):
            crops = tiny.crops(*[50] * 5)
            alive.append(weakref.ref(crops))
            yield Item(str(number), File("")), [Part(crops, 40, 36, digest=b"the same")]
            most = max(most, sum(each() is not None for each in alive))

    rows = [entry.row for entry in scored(decoded(), scorer, Ledger(), batch=1000)]

    assert [(row.score, row.crops) for row in rows] == [(50, 5)] * 100
    assert most < 5


def test_rows_before_an_error_of_the_source_are_not_lost(scorer):
    def decoded():
        for grey in range(3):
            part = Part(tiny.crops(grey), 40, 36, digest=bytes([grey]))
            yield Item(str(grey), File("")), [part]
        raise DatasetError("the list ends in nonsense")

    found = scored(decoded(), scorer, Ledger(), batch=8)

    assert [next(found).row.score for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DatasetError):
        next(found)


@pytest.mark.parametrize("path", ["./bad.png", ".//bad.png", "././bad.png"])
def test_a_message_does_not_name_the_image_again(rows_of, tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.png").write_text("dear diary")

    file, data = rows_of([path, Item("bytes", Data(b"dear diary"))])

    assert (file.path, file.error) == (path, "ImageError")
    for row in (file, data):
        assert row.message.startswith("not an image in a supported format")


def test_what_a_library_says_of_a_file_is_one_line(rows_of):
    (row,) = rows_of([Item("a", Failure("ImageError", "caf\udce9\n\x1b[31mred\ud800"))])

    assert row.message == "caf\\xe9\\n\\x1b[31mred\\ud800"


def test_failures_come_in_order_too(rows_of):
    inputs = (Item(str(n), Failure("ImageError", "it is bad")) for n in range(3000))

    rows = rows_of(inputs, shard=100)

    assert [row.path for row in rows] == [str(n) for n in range(3000)]


def test_every_row_is_told_of(scorer, images, rows_of):
    seen = []
    items = iter([Item("a", Failure("ImageError", "bad")), Item("b", Data(b""))])
    shards = score_items(
        items,
        scorer,
        Plan(workers=1, shard=1),
        open_shard=lambda number: contextlib.nullcontext(Nowhere()),
        ledger=Ledger(),
        on_row=seen.append,
    )

    assert [row.path for row in seen] == ["a", "b"]
    assert [(shard.number, shard.items, shard.failures) for shard in shards] == [
        (0, 1, 1),
        (1, 1, 1),
    ]


class Nowhere:
    def write(self, row):
        pass


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"workers": 0}, "workers is 0: at least 1 is expected"),
        ({"batch": -1}, "batch is -1: at least 1 is expected"),
        ({"shard": 0}, "shard is 0: at least 1 is expected"),
        ({"seconds": 0}, "timeout is 0 s: more than 0 and less than a day is expected"),
        ({"seconds": float("nan")}, "timeout is nan s"),
    ],
)
def test_a_plan_that_cannot_work_is_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        Plan(**{"workers": 1, **setting})
