"""Batches as Ray hands them over, first without Ray, then on a local cluster of two workers."""

import itertools
import runpy
import shutil
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny
from lifeiqa import Scorer
from lifeiqa.errors import ArtifactError, ConfigError, DeviceError, ImageError
from lifeiqa.integrations.ray import COLUMNS, ScoreBatch
from painting import painted

pa = pytest.importorskip("pyarrow", reason="Arrow's tables come with lifeiqa[ray]")

SIZES = [(40, 36), (36, 90), (32, 32), (20, 31), (300, 33), (64, 64), (50, 51), (33, 32), (45, 99)]
EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_score.py"
FIGURES = ("score", "std", "width", "height", "crops")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pictures of several sizes, a damaged one among them, under a path with spaces."""
    folder = tmp_path_factory.mktemp("some pictures")
    for number, size in enumerate(SIZES):
        Image.fromarray(painted(*size)).save(folder / f"number {number}.png")
    whole = (folder / "number 0.png").read_bytes()
    (folder / "damaged.png").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny.write_model(tmp_path_factory.mktemp("a model") / "tiny.onnx"))


@pytest.fixture(scope="module")
def paths(folder):
    return sorted(map(str, folder.glob("number *.png")))


@pytest.fixture(scope="module")
def expected(model, folder):
    """What each path's row must say, from a Scorer that scores one picture at a time."""
    with Scorer(model, provider="cpu", threads=1) as scorer:
        common = {"model": "tiny", "model_sha256": scorer.manifest.sha256}
        return {str(path): common | _alone(scorer, path) for path in sorted(folder.iterdir())}


def _alone(scorer, path):
    empty = dict.fromkeys(FIGURES)
    try:
        score = scorer.score(path)
    except ImageError as error:
        message = str(error).removeprefix(f"{path}: ")
        return {**empty, "error": "ImageError", "message": message}
    with Image.open(path) as image:
        width, height = image.size
    figures = (score.value, score.std, width, height, len(score.crops))
    return {**dict(zip(FIGURES, figures, strict=True)), "error": None, "message": None}


def score_batch(model, column="path", **arguments):
    return ScoreBatch(column, model, **{"provider": "cpu", **arguments})


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


def assert_rows(rows, paths, expected):
    assert [row["path"] for row in rows] == list(paths)
    for row in rows:
        actual = {name: row[name] for name in COLUMNS}
        if row["error"] is None:  # a runtime may round otherwise in another batch
            for name in ("score", "std"):
                wanted = expected[row["path"]][name]
                assert actual[name] == pytest.approx(wanted, rel=1e-6, abs=1e-4)
                actual[name] = wanted
        assert actual == expected[row["path"]]


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


def test_decoded_pictures_are_scored_as_their_files_are(model, paths, expected):
    pictures = [np.asarray(Image.open(path)) for path in paths]

    scored = score_batch(model, "image", drop=True)(batch_of("dict", path=paths, image=pictures))

    assert_rows(rows_of(scored), paths, expected)


def test_more_crops_a_picture_than_one_run_takes(model, paths):
    with Scorer(model, crops="grid:6", provider="cpu") as scorer:
        alone = [scorer.score(path) for path in paths]

    rows = rows_of(score_batch(model, crops="grid:6")(batch_of("table", path=paths)))

    assert [row["crops"] for row in rows] == [36] * len(paths)
    assert [row["score"] for row in rows] == pytest.approx([s.value for s in alone], rel=1e-6)
    assert [row["std"] for row in rows] == pytest.approx([s.std for s in alone], abs=1e-4)


@both_forms
def test_a_bad_picture_is_a_row_with_its_error_and_the_others_are_scored(
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
    assert null["message"].startswith("None is no picture: a path, the bytes")


@both_forms
def test_a_number_is_no_picture(model, form):
    (row,) = rows_of(score_batch(model)(batch_of(form, path=[7.5])))

    assert row["message"].startswith("7.5 is no picture")


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
def test_the_column_of_pictures_is_left_out_when_asked(model, paths, form):
    contents = [Path(path).read_bytes() for path in paths]
    batch = batch_of(form, bytes=contents, path=paths)

    scored = score_batch(model, "bytes", drop=True)(batch)

    assert list(rows_of(scored)[0]) == ["path", *COLUMNS]


@both_forms
def test_a_batch_without_the_column_is_refused(model, form):
    with pytest.raises(ConfigError, match="no column 'picture' in a batch of path, id: name"):
        score_batch(model, "picture")(batch_of(form, path=["a.png"], id=[1]))


@both_forms
def test_columns_of_the_user_are_not_overwritten(model, paths, form):
    batch = batch_of(form, path=paths[:1], width=[7], error=["mine"])

    with pytest.raises(ConfigError, match="has width, error already: give a prefix"):
        score_batch(model)(batch)

    (row,) = rows_of(score_batch(model, prefix="iqa_")(batch))
    assert (row["width"], row["error"]) == (7, "mine")
    assert (row["iqa_width"], row["iqa_error"]) == (36, None)


def test_a_failing_session_fails_the_batch(model, paths, monkeypatch):
    def fail(crops):
        raise DeviceError("the GPU has fallen off the bus")

    batch = score_batch(model)
    monkeypatch.setattr(batch._scorer, "score_crops", fail)

    with pytest.raises(DeviceError):
        batch(batch_of("table", path=paths))


def test_crops_are_joined_across_pictures_into_runs_of_32(model, paths, monkeypatch):
    batch, lengths = score_batch(model), []
    score_crops = batch._scorer.score_crops
    monkeypatch.setattr(
        batch._scorer,
        "score_crops",
        lambda crops: (lengths.append(len(crops)), score_crops(crops))[1],
    )

    batch(batch_of("table", path=["lost.png", *paths[:7], "lost.png", *paths[:8]]))

    assert lengths == [32, 32, 11]  # 15 pictures of 5 crops


def test_memory_does_not_grow_with_the_number_of_pictures(model, paths):
    batch = score_batch(model, crops="grid:8")
    crops = 64 * tiny.SIZE**2 * 3  # bytes of one picture
    many = batch_of("table", path=paths[:3] * 20)

    tracemalloc.start()
    try:
        batch(many)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 10 * crops  # of 60 pictures


def test_a_session_has_one_thread_unless_told(model, monkeypatch):
    import lifeiqa.scorer

    threads = []
    real = lifeiqa.scorer.open_session
    monkeypatch.setattr(
        lifeiqa.scorer,
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


# Ray Data sets fields of its own settings that it has deprecated.
on_ray = pytest.mark.filterwarnings(
    "ignore:`use_(push_based_shuffle|polars|arrow_tensor_v2)` is deprecated:DeprecationWarning"
)


@pytest.fixture(scope="module")
def data():
    """``ray.data`` on a cluster inside this machine, which calls nobody.

    Its CPUs are numbers to plan with: two for the actors, one for whoever reads and writes.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its warning of a coming default
        pytest.importorskip("pandas", reason="Ray Data needs pandas: lifeiqa[ray] brings it")
        ray = pytest.importorskip("ray", reason="Ray comes with lifeiqa[ray]")
        home = tempfile.mkdtemp(prefix="ray")  # sockets lie here: their paths must be short
        ray.init(
            address="local",
            num_cpus=3,
            num_gpus=0,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=100 * 2**20,
            _temp_dir=home,
        )
        try:
            yield ray.data
        finally:
            ray.shutdown()
            shutil.rmtree(home, ignore_errors=True)


@on_ray
def test_ray_scores_batches_of_its_own_form_in_two_actors(data, model, folder, paths, expected):
    halves = [[*paths[:5]], [str(folder / "damaged.png"), *paths[5:]]]  # two blocks

    scored = data.from_arrow([pa.table({"path": half}) for half in halves]).map_batches(
        ScoreBatch,
        fn_constructor_kwargs={"column": "path", "model": model, "provider": "cpu"},
        compute=data.ActorPoolStrategy(size=2),
        num_cpus=1,
    )

    blocks = list(scored.iter_batches(batch_size=None, batch_format="pyarrow"))
    rows = sorted((row for block in blocks for row in block.to_pylist()), key=lambda r: r["path"])
    assert_rows(rows, sorted(itertools.chain(*halves)), expected)
    assert len(blocks) == 2
    assert blocks[0].schema == blocks[1].schema  # though the first has no error


def run_example(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ray_score.py", *map(str, arguments)])
    runpy.run_path(str(EXAMPLE), run_name="__main__")


@on_ray
def test_the_example_scores_a_table_of_paths(data, model, folder, expected, tmp_path, monkeypatch):
    import pyarrow.parquet

    names = [*map(str, sorted(folder.iterdir())), None]
    table = pa.table({"id": pa.array([*range(len(names) - 1), None], "int64"), "path": names})
    pyarrow.parquet.write_table(table, tmp_path / "pictures.parquet")

    run_example(monkeypatch, tmp_path / "pictures.parquet", tmp_path / "out", "--model", model)

    scored = pyarrow.parquet.read_table(tmp_path / "out").sort_by("id")
    assert scored.select(["id", "path"]).equals(table)
    *rows, null = scored.to_pylist()
    assert_rows(rows, names[:-1], expected)
    assert (null["score"], null["error"]) == (None, "ImageError")


@on_ray
def test_the_example_scores_a_folder(data, model, folder, expected, tmp_path, monkeypatch):
    import pyarrow.parquet

    run_example(monkeypatch, folder, tmp_path / "out", "--model", model)

    scored = pyarrow.parquet.read_table(tmp_path / "out").sort_by("path")
    assert scored.column_names == ["path", *COLUMNS]
    assert_rows(scored.to_pylist(), map(str, sorted(folder.iterdir())), expected)


@on_ray
def test_the_example_refuses_actors_that_leave_no_cpu_for_reading(data, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="3 actors on 3 CPUs leave none to read and write"):
        run_example(monkeypatch, tmp_path, tmp_path / "out", "--actors", 3)
