"""Batches as Ray hands them over; Ray itself does not run here."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import tiny
from helpers.ray_rows import FIGURES, assert_rows
from lifeiqa import Scorer
from lifeiqa.errors import ArtifactError, ConfigError, DeviceError
from lifeiqa.integrations.ray import COLUMNS, ScoreBatch

pa = pytest.importorskip("pyarrow", reason="Arrow's tables come with lifeiqa[ray]")


def score_batch(model, column="path", **arguments):
    return ScoreBatch(column, model, **{"runtime": "onnxruntime", "device": "cpu", **arguments})


def batch_of(form, **columns):
    """The columns as Ray hands them over: a table, or a dict of numpy arrays of objects."""
    if form == "table":
        return pa.table(columns)
    arrays = {name: np.empty(len(values), object) for name, values in columns.items()}
    for name, values in columns.items():
        arrays[name][:] = values
    return arrays


def rows_of(batch):
    return pa.table(batch).to_pylist() if isinstance(batch, dict) else batch.to_pylist()


both_forms = pytest.mark.parametrize("form", ["dict", "table"])


@both_forms
def test_paths_are_scored_as_a_scorer_scores_them_one_by_one(model, paths, expected, form):
    scored = score_batch(model)(batch_of(form, path=paths))

    assert_rows(rows_of(scored), paths, expected)
    assert all(row["error"] is None for row in rows_of(scored))


@both_forms
def test_bytes_are_scored_as_their_files_are(model, paths, expected, form):
    contents = [Path(path).read_bytes() for path in paths]

    scored = score_batch(model, "bytes")(batch_of(form, path=paths, bytes=contents))

    assert_rows(rows_of(scored), paths, expected)
    assert [row["bytes"] for row in rows_of(scored)] == contents


def test_decoded_images_are_scored_as_their_files_are(model, paths, expected):
    images = [np.asarray(Image.open(path)) for path in paths]

    scored = score_batch(model, "image", drop=True)(batch_of("dict", path=paths, image=images))

    assert_rows(rows_of(scored), paths, expected)


def test_more_crops_an_image_than_one_run_takes(model, paths):
    with Scorer(model, crops="grid:6", runtime="onnxruntime", device="cpu") as scorer:
        alone = [scorer.score(path) for path in paths]

    rows = rows_of(score_batch(model, crops="grid:6")(batch_of("table", path=paths)))

    assert [row["crops"] for row in rows] == [36] * len(paths)
    assert [row["score"] for row in rows] == pytest.approx([s.value for s in alone], rel=1e-6)
    assert [row["std"] for row in rows] == pytest.approx([s.std for s in alone], abs=1e-4)


@both_forms
def test_a_bad_image_is_a_row_with_its_error_and_the_others_are_scored(
    model, folder, paths, expected, form
):
    damaged, lost = str(folder / "damaged.png"), str(folder / "lost.png")
    mixed = [damaged, *paths[:3], lost, *paths[3:], damaged]

    rows = rows_of(score_batch(model)(batch_of(form, path=mixed)))

    missing = {
        **expected[damaged],
        "error": "ImageError",
        "message": "No such file or directory",
    }
    assert "truncated" in expected[damaged]["message"]
    assert_rows(rows, mixed, {**expected, lost: missing})


@both_forms
def test_a_null_is_a_row_with_an_error(model, paths, expected, form):
    scored, null = rows_of(score_batch(model)(batch_of(form, path=[paths[0], None])))

    assert_rows([scored], paths[:1], expected)
    assert [null[name] for name in FIGURES] == [None] * 5
    assert null["error"] == "ImageError"
    assert null["message"].startswith("None is not an image: a path, the bytes")


@both_forms
def test_a_number_is_no_image(model, form):
    (row,) = rows_of(score_batch(model)(batch_of(form, path=[7.5])))

    assert row["message"].startswith("7.5 is not an image")


@both_forms
@pytest.mark.parametrize("which", ["scored", "failed", "none"])
def test_columns_have_the_same_types_in_every_batch(model, paths, form, which):
    column = {"scored": paths[:2], "failed": ["lost.png"], "none": []}[which]
    batch = batch_of(form, path=column)
    if form == "table":  # a column without values has no type of its own
        batch = batch.cast(pa.schema({"path": "string"}))

    scored = score_batch(model)(batch)

    assert {name: str(scored[name].type) for name in COLUMNS} == {
        **dict.fromkeys(("score", "std"), "double"),
        **dict.fromkeys(("width", "height", "crops"), "int32"),
        **dict.fromkeys(("model", "model_sha256", "error", "message"), "string"),
    }
    assert len(scored["score"]) == len(column)


def test_the_other_columns_of_a_table_stay_as_they_are(model, paths):
    table = pa.table({"id": pa.array([2**60 + 1, None], "int64"), "path": paths[:2]})

    scored = score_batch(model)(table)

    assert scored.select(["id", "path"]).equals(table)
    assert scored.column_names == ["id", "path", *COLUMNS]


def test_the_other_columns_of_a_dict_stay_as_they_are(model, paths):
    batch = {**batch_of("dict", path=paths[:2]), "id": np.arange(2)}

    scored = score_batch(model)(batch)

    assert scored["id"] is batch["id"]
    assert scored["path"] is batch["path"]
    assert list(batch) == ["path", "id"]


@both_forms
def test_the_column_of_images_is_left_out_when_asked(model, paths, form):
    contents = [Path(path).read_bytes() for path in paths]
    batch = batch_of(form, bytes=contents, path=paths)

    scored = score_batch(model, "bytes", drop=True)(batch)

    assert list(rows_of(scored)[0]) == ["path", *COLUMNS]


@both_forms
def test_a_batch_without_the_column_is_refused(model, form):
    with pytest.raises(ConfigError, match="no column 'image' in a batch of path, id: name"):
        score_batch(model, "image")(batch_of(form, path=["a.png"], id=[1]))


@both_forms
def test_columns_of_the_user_are_not_overwritten(model, paths, form):
    batch = batch_of(form, path=paths[:1], width=[7], error=["mine"])

    with pytest.raises(ConfigError, match="has width, error already: pass a prefix"):
        score_batch(model)(batch)

    (row,) = rows_of(score_batch(model, prefix="iqa_")(batch))
    assert (row["width"], row["error"]) == (7, "mine")
    assert (row["iqa_width"], row["iqa_error"]) == (36, None)


def test_a_failing_session_fails_the_batch(model, paths, monkeypatch):
    def fail(crops):
        raise DeviceError("the GPU has fallen off the bus")

    batch = score_batch(model)
    monkeypatch.setattr(batch._scorer.session, "run", fail)

    with pytest.raises(DeviceError):
        batch(batch_of("table", path=paths))


@both_forms
def test_a_score_that_is_no_number_is_a_row_with_an_error(tmp_path, paths, form):
    model = str(tiny.write_model(tmp_path / "nan.onnx", gain=float("nan")))

    for row in rows_of(score_batch(model)(batch_of(form, path=[*paths[:2], "lost.png"])))[:2]:
        assert [row[name] for name in FIGURES] == [None] * 5
        assert row["error"] == "ArtifactError"
        assert row["message"].startswith("the model returned nan")


def test_crops_are_joined_across_images_into_runs_of_32(model, paths, monkeypatch):
    batch, lengths = score_batch(model), []
    session = batch._scorer.session
    run = session.run
    monkeypatch.setattr(session, "run", lambda crops: (lengths.append(len(crops)), run(crops))[1])

    batch(batch_of("table", path=["lost.png", *paths[:7], "lost.png", *paths[:8]]))

    assert lengths == [32, 32, 11]  # 15 images of 5 crops


def test_memory_does_not_grow_with_the_number_of_images(model, paths):
    batch = score_batch(model, crops="grid:8")
    crops = 64 * tiny.SIZE**2 * 3  # bytes of one image
    many = batch_of("table", path=paths[:3] * 20)

    tracemalloc.start()
    try:
        batch(many)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 10 * crops  # of 60 images


def test_a_session_has_one_thread_unless_told(model, monkeypatch):
    from lifeiqa.scorer import scorer

    threads = []
    real = scorer.open_session
    monkeypatch.setattr(
        scorer,
        "open_session",
        lambda *args, **kwargs: (threads.append(kwargs["threads"]), real(*args, **kwargs))[1],
    )

    score_batch(model)
    score_batch(model, threads=2)

    assert threads == [1, 2]


def test_a_model_or_plan_that_cannot_be_used_is_refused_at_once(model, tmp_path):
    with pytest.raises(ArtifactError, match="no such model file"):
        ScoreBatch("path", tmp_path / "lost.onnx")
    with pytest.raises(ConfigError, match="crop plan 'six'"):
        ScoreBatch("path", model, crops="six")
