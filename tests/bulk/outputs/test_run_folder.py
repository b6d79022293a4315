"""An output folder: what a run finds there goes on, or is refused."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest

from helpers import tiny
from lifeiqa.bulk.inputs.expand import InputOptions, items
from lifeiqa.bulk.job import Job, score_to_folder
from lifeiqa.bulk.shards import Plan
from lifeiqa.errors import ConfigError, OutputError
from lifeiqa.scorer import Scorer

LIFEIQA = Path(sys.executable).with_name("lifeiqa")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """200 images of 40 greys, and a damaged one."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(200):
        tiny.write_image(folder / f"{number:03}.png", number % 40)
    (folder / "050.png").write_text("dear diary")
    return folder


@pytest.fixture
def job(scorer, images):
    def made(inputs=(str(images),), scorer=scorer, style="csv", **plan):
        return Job(
            items=items(inputs, InputOptions()),
            scorer=scorer,
            plan=Plan(**{"workers": 1, "shard": 10, **plan}),
            style=style,
        )

    return made


def command(model, images, out, *more):
    return [
        *(
            LIFEIQA,
            "score",
            images,
            "--model",
            model,
            "--runtime",
            "onnxruntime",
            "--device",
            "cpu",
            "--threads",
            "1",
        ),
        *("--workers", "1", "--shard", "10", "--format", "csv", "--out", out, *more),
    ]


def parts(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("part-*"))}


@pytest.fixture(scope="module")
def unbroken(model, images, tmp_path_factory):
    """The shards of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("unbroken") / "out"
    done = subprocess.run(command(model, images, out), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    return parts(out)


def test_a_run_leaves_whole_shards_and_its_totals(unbroken, job, tmp_path):
    shards = score_to_folder(job(), tmp_path / "out")

    assert len(shards) == 20
    assert parts(tmp_path / "out") == unbroken
    assert json.loads((tmp_path / "out" / "_finished.json").read_text()) == {
        "shards": 20,
        "inputs": 200,
        "rows": 200,
        "failures": 1,
    }


@pytest.mark.parametrize(
    ("kills", "least_places"), [(5, 2), pytest.param(20, 6, marks=pytest.mark.long)]
)
def test_killed_at_any_moment_it_finishes_the_rest(
    model, images, unbroken, tmp_path, kills, least_places
):
    """No row is lost, none is there twice, and every bit is that of the unbroken run."""
    generator = random.Random(7)
    out, runs, places = tmp_path / "0", 0, []
    while len(places) < kills:
        more = generator.choice([0, 1, 1, 2])
        wanted = len(parts(out)) + more
        process = subprocess.Popen(command(model, images, out), stderr=subprocess.PIPE)
        while process.poll() is None and len(parts(out)) < wanted:
            time.sleep(0.001)
        time.sleep(generator.uniform(0, 0.04 if more else 0.8))
        process.kill()
        assert process.communicate()[1] == b""
        found = parts(out)
        assert found == {name: unbroken[name] for name in found}
        if process.returncode == -signal.SIGKILL:
            places.append(len(found))
        else:  # it had ended by itself: begin anew
            assert found == unbroken
            runs += 1
            out = tmp_path / str(runs)

    done = subprocess.run(command(model, images, out), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"")
    assert parts(out) == unbroken
    assert [path for path in out.iterdir() if path.suffix == ".part"] == []
    assert len(set(places)) >= least_places


@pytest.mark.parametrize("name", ["_run.json", "part-00000.csv", "_finished.json"])
def test_what_a_kill_left_half_written_is_removed(job, tmp_path, unbroken, name):
    """Also where it came before anything else was there, as a half of _run.json does."""
    left = tmp_path / f".{name}.x7_a.part"
    left.write_text('{"mod')

    score_to_folder(job(), tmp_path)

    assert not left.exists()
    assert parts(tmp_path) == unbroken


def test_a_run_that_goes_on_does_not_say_finished(job, tmp_path):
    score_to_folder(job(), tmp_path)
    (tmp_path / "part-00019.csv").unlink()

    def killed(row):
        assert not (tmp_path / "_finished.json").exists()
        raise KeyboardInterrupt

    again = job()
    again.progress.count = killed
    with pytest.raises(KeyboardInterrupt):
        score_to_folder(again, tmp_path)
    assert not (tmp_path / "_finished.json").exists()


def test_a_finished_run_has_nothing_left_to_do(job, tmp_path):
    score_to_folder(job(), tmp_path / "out")
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}

    shards = score_to_folder(job(), tmp_path / "out")

    assert sum(shard.items for shard in shards) == 200
    assert written == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}


@pytest.mark.parametrize("lost", [0, 5, 19])
def test_a_shard_that_is_gone_is_made_again(job, tmp_path, unbroken, lost):
    score_to_folder(job(), tmp_path / "out")
    (tmp_path / "out" / f"part-{lost:05}.csv").unlink()

    score_to_folder(job(), tmp_path / "out")

    assert parts(tmp_path / "out") == unbroken


def test_shards_of_inputs_that_are_gone_do_not_stay(job, images, tmp_path):
    names = [str(path) for path in sorted(images.iterdir())]
    score_to_folder(job(names[:30]), tmp_path / "out")
    (tmp_path / "out" / "_ledger.sqlite").unlink()

    score_to_folder(job(names[:15]), tmp_path / "out")

    assert list(parts(tmp_path / "out")) == ["part-00000.csv", "part-00001.csv"]


def test_a_reader_of_data_sets_finds_the_rows_alone(job, tmp_path):
    score_to_folder(job(style="parquet"), tmp_path / "out")

    assert pyarrow.parquet.read_table(tmp_path / "out").num_rows == 200


def test_images_of_the_same_names_elsewhere_are_refused(model, images, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("path\n" + "\n".join(f"{number:03}.png" for number in range(20)))
    other = tmp_path / "other"
    shutil.copytree(images, other)
    for folder, status in ((images, 0), (images, 0), (other, 2)):
        done = subprocess.run(
            command(model, table, tmp_path / "out", "--images", folder),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status
    assert "the inputs of part-00000.csv differ from those" in done.stderr


def test_another_model_is_refused(job, tmp_path):
    score_to_folder(job(), tmp_path / "out")
    before = parts(tmp_path / "out")
    other = tiny.write_model(tmp_path / "other.onnx", gain=0.5)
    with (
        Scorer(other, runtime="onnxruntime", device="cpu", threads=1) as scorer,
        pytest.raises(ConfigError) as caught,
    ):
        score_to_folder(job(scorer=scorer), tmp_path / "out")

    assert re.search(
        r"differs from the one that started here: model_sha256 was '\w{64}' and is '\w",
        str(caught.value),
    )
    assert parts(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 3}, "batch was 8 and is 3"),
        ({"shard": 20}, "shard was 10 and is 20"),
        ({"style": "jsonl"}, "format was 'csv' and is 'jsonl'"),
    ],
)
def test_another_way_of_working_is_refused(job, tmp_path, change, message):
    score_to_folder(job(), tmp_path / "out")

    with pytest.raises(ConfigError, match=message):
        score_to_folder(job(**change), tmp_path / "out")


def test_another_crop_plan_is_refused(job, model, tmp_path):
    score_to_folder(job(), tmp_path / "out")

    with (
        Scorer(model, crops="center", runtime="onnxruntime", device="cpu", threads=1) as scorer,
        pytest.raises(ConfigError, match="crops was 'five' and is 'center'"),
    ):
        score_to_folder(job(scorer=scorer), tmp_path / "out")


def test_other_inputs_are_refused(job, images, tmp_path):
    names = [str(path) for path in sorted(images.iterdir())]
    score_to_folder(job(names[:30]), tmp_path / "out")

    with pytest.raises(ConfigError, match=r"the inputs of part-00001.csv differ from those"):
        score_to_folder(job(names[:15] + names[16:]), tmp_path / "out")
    with pytest.raises(ConfigError, match=r"the inputs of part-00002.csv differ from those"):
        score_to_folder(job(names[:25]), tmp_path / "out")


def test_more_inputs_at_the_end_are_scored_as_well(job, images, tmp_path):
    names = [str(path) for path in sorted(images.iterdir())]
    score_to_folder(job(names[:30]), tmp_path / "out")

    shards = score_to_folder(job(names), tmp_path / "out")

    assert sum(shard.items for shard in shards) == 200


def test_a_folder_of_something_else_is_left_alone(job, tmp_path):
    (tmp_path / "letter.txt").write_text("dear diary")

    with pytest.raises(ConfigError, match="the folder contains other files"):
        score_to_folder(job(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "letter.txt"]


def test_two_runs_do_not_write_into_one_folder(job, model, images, tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen(command(model, images, out), stderr=subprocess.DEVNULL) as first:
        while not (out / "_ledger.sqlite").exists():
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(OutputError, match="another process writes to this folder"):
                score_to_folder(job(), out)
        finally:
            first.send_signal(signal.SIGCONT)
    assert len(parts(out)) == 20


def test_a_damaged_ledger_is_told(job, tmp_path):
    score_to_folder(job(), tmp_path / "out")
    (tmp_path / "out" / "_ledger.sqlite").write_bytes(b"dear diary" * 1000)

    with pytest.raises(OutputError, match=r"_ledger.sqlite: file is not a database"):
        score_to_folder(job(), tmp_path / "out")


@pytest.mark.parametrize("text", ["dear diary", "[1]", "1"])
def test_settings_that_cannot_be_read_are_told(job, tmp_path, text):
    score_to_folder(job(), tmp_path / "out")
    (tmp_path / "out" / "_run.json").write_text(text)

    with pytest.raises(ConfigError, match=r"_run.json: cannot be read"):
        score_to_folder(job(), tmp_path / "out")


def test_a_full_disk_is_one_error_and_the_run_goes_on_when_there_is_room(
    model, images, unbroken, tmp_path
):
    """In a file system of its own, which a namespace of its own makes possible."""
    out = tmp_path / "disk"
    out.mkdir()
    words = " ".join(f"'{word}'" for word in command(model, images, out / "out"))
    script = (
        f"mount -t tmpfs -o size=64k none {out} || exit 77\n"
        f"{words}; echo status $?; ls -A {out}/out\n"
        f"mount -o remount,size=64m {out}\n{words}; echo status $?; cat {out}/out/part-*"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no file system of its own: {done.stderr.strip()}")

    assert done.stderr.count("\n") == 1
    assert re.match(r"OutputError: \S+: (No space left|database or disk is full)", done.stderr)
    first, second = done.stdout.split("status ")[1:]
    assert first.startswith("2")
    assert ".part" not in first.replace(".lock", "")
    assert second[2:].encode() == b"".join(unbroken.values())
