"""Ray Data on a cluster inside this machine, with two workers."""

import itertools
import runpy
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from helpers.ray_rows import assert_rows
from lifeiqa.integrations.ray import COLUMNS, ScoreBatch

pa = pytest.importorskip("pyarrow", reason="Arrow's tables come with lifeiqa[ray]")

EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_score.py"

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
        fn_constructor_kwargs={
            "column": "path",
            "model": model,
            "runtime": "onnxruntime",
            "device": "cpu",
        },
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
    pyarrow.parquet.write_table(table, tmp_path / "images.parquet")

    run_example(monkeypatch, tmp_path / "images.parquet", tmp_path / "out", "--model", model)

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

    before = sorted((tmp_path / "out").iterdir())
    with pytest.raises(ValueError, match="already exists"):
        run_example(monkeypatch, folder, tmp_path / "out", "--model", model)
    assert sorted((tmp_path / "out").iterdir()) == before


@on_ray
def test_the_example_refuses_actors_that_leave_no_cpu_for_reading(data, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="3 actors on 3 CPUs leave none to read and write"):
        run_example(monkeypatch, tmp_path, tmp_path / "out", "--actors", 3)
