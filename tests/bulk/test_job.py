"""`lifeiqa score` from one end to the other."""

import json
import shutil
import statistics
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from helpers import tiny
from helpers.scoring import greys, rows, score
from lifeiqa.files import sha256_of

LIFEIQA = Path(sys.executable).with_name("lifeiqa")


def test_a_list_on_standard_input(model, folder):
    names = f"{folder}/30.png\n{folder}/10.png\n"

    assert greys(rows(model, "-", input=names)) == [30, 10]
    assert greys(rows(model, "-", "--null", input=names.replace("\n", "\0"))) == [30, 10]


def test_a_pattern(model, folder):
    assert greys(rows(model, f"{folder}/[12]0.*")) == [10, 20]


def test_tables(model, folder):
    table = folder / "table.csv"
    table.write_text("name,mos\n20.png,1\nlost.png,2\n")

    good, bad = rows(model, table, "--column", "name", status=1)

    assert (good["path"], good["score"]) == ("20.png", 20)
    assert (bad["path"], bad["error"]) == ("lost.png", "ImageError")
    assert bad["message"] == "No such file or directory"

    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    parquet.write_table(pa.table({"path": ["30.png"]}), folder / "table.parquet")
    assert greys(rows(model, folder / "table.parquet", "--images", folder)) == [30]


def test_archives(model, folder, tmp_path):
    (folder / "bad.png").write_text("dear diary")
    for name, mode in (("plain.tar", "w"), ("packed.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as archive:
            archive.add(folder, "shard")

        found = rows(model, tmp_path / name, status=1)

        assert greys(found) == [10, 20, 30, None]
        assert found[0]["path"] == f"{tmp_path}/{name}/shard/10.png"
        assert found[3]["message"].startswith("not an image")


def test_addresses_need_a_flag(model):
    (row,) = rows(model, "http://127.0.0.1:9/a.png", status=1)
    assert "--allow-http" in row["message"]

    (row,) = rows(model, "--allow-http", "http://127.0.0.1:9/a.png", status=1)
    assert (row["path"], row["error"]) == ("http://127.0.0.1:9/a.png", "ImageError")
    assert "refused" in row["message"]
    assert "127.0.0.1" not in row["message"]


def test_a_video_has_a_row_a_frame_and_one_for_the_whole(model, tmp_path):
    av = pytest.importorskip("av")
    import numpy as np

    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=4)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for grey in (40, 40, 40, 40, 10, 20, 30, 40, 90):
            image = np.full((48, 64, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())

    *frames, whole = rows(model, path, "--every", 1)

    scores = [40, 40, 40, 40, 10, 20, 30, 40, 90]
    assert greys(frames) == pytest.approx(scores, abs=1)
    assert [row["frame"] for row in frames] == list(range(9))
    assert [row["time"] for row in frames] == pytest.approx([n / 4 for n in range(9)], abs=0.01)
    assert whole["score"] == pytest.approx(statistics.mean(greys(frames)))
    assert whole["std"] == pytest.approx(statistics.pstdev(greys(frames)))
    assert (whole["p5"], whole["worst_second"]) == (frames[4]["score"], pytest.approx(25, abs=1))
    assert (whole["worst_time"], whole["crops"]) == (1, 45)
    assert (whole["width"], whole["height"]) == (64, 48)
    assert len(rows(model, path, "--per-second", 1)) == 3 + 1

    path.write_bytes(path.read_bytes()[:300])
    (row,) = rows(model, path, status=1)
    assert (row["path"], row["error"]) == (str(path), "ImageError")


def test_a_sampling_that_cannot_work_is_refused(model, folder):
    done = score(model, folder, "--every", 2, "--per-second", 1)

    assert "--every and --per-second are mutually exclusive" in done.stderr
    assert done.exit_code == 2
    assert score(model, folder, "--every", 0).exit_code == 2


@pytest.mark.parametrize("option", ["--workers", "--batch", "--shard"])
def test_a_number_that_is_none_is_refused(model, folder, option):
    done = score(model, folder, option, "0")
    assert done.exit_code == 2
    assert done.stderr == f"ConfigError: {option[2:]} is 0: at least 1 is expected\n"


def test_a_closer_limit_of_the_users_is_kept(model, folder):
    """A worker's own limit lies about 1.5 GB of addresses away; this one is closer."""
    words = [
        LIFEIQA,
        "score",
        folder,
        "--model",
        model,
        "--runtime",
        "onnxruntime",
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    done = subprocess.run(
        ["sh", "-c", 'ulimit -v 1400000 && exec "$@"', "sh", *words, "--format", "jsonl"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert greys(map(json.loads, done.stdout.splitlines())) == [10, 20, 30]


def test_parquet_out(model, folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")

    done = score(model, folder, "--format", "parquet", "--out", tmp_path / "out")

    assert done.exit_code == 0
    assert done.stdout == ""
    table = parquet.read_table(tmp_path / "out" / "part-00000.parquet")
    assert table.column("score").to_pylist() == [10, 20, 30]
    assert set(table.column("model_sha256").to_pylist()) == {sha256_of(model)}


def test_a_table_for_people_is_no_form_of_a_shard(model, folder, tmp_path):
    done = score(model, folder, "--format", "table", "--out", tmp_path / "out")

    assert (
        "--out does not write tables for people: choose --format csv, jsonl or parquet"
        in done.stderr
    )
    assert done.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_model_that_does_not_match_its_manifest(folder, tmp_path):
    model = tiny.write_model(tmp_path / "tiny.onnx")
    other = tiny.write_model(tmp_path / "other.onnx", gain=0.5)
    shutil.copy(other, model)

    refused = score(model, folder)
    assert "ArtifactError" in refused.stderr
    assert refused.exit_code == 2

    found = rows(model, folder, "--no-verify")
    assert greys(found) == [5, 10, 15]
    assert {row["model"] for row in found} == {"tiny (not verified)"}
    assert {row["model_sha256"] for row in found} == {sha256_of(model)}
    done = score(model, folder, "--no-verify")
    assert done.stderr == f"{model}: not verified: --no-verify is set\n"
    assert done.stdout.startswith("tiny (not verified)\n    score       std  path\n")


def test_a_model_without_a_sidecar_is_not_verified(folder, tmp_path):
    """No sum was there to be checked, and the rows say so."""
    model = tiny.write_model(tmp_path / "tiny.onnx", embed=True)

    assert {row["model"] for row in rows(model, folder)} == {"tiny (not verified)"}
    assert "not verified: there is no manifest beside it" in score(model, folder).stderr
