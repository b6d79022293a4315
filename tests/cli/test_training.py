"""`lifeiqa train` and `lifeiqa study`: what they print, and what they refuse before an epoch."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import termios

import pytest
from click.testing import CliRunner
from PIL import Image

from helpers import runs
from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.cli import main
from lifeiqa.data.splits import read_split

COMMAND = [sys.executable, "-m", "lifeiqa"]
FROZEN = [part for change in [*runs.FROZEN, "frozen.epochs=1"] for part in ("--set", change)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return runs.write_inputs(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def trained(folder, tmp_path_factory):
    """The folder of a run, and what the command that made it printed."""
    out = tmp_path_factory.mktemp("trained")
    result = lifeiqa(*runs.arguments(folder, out))
    assert result.exit_code == 0, result.stderr
    return out, result


def lifeiqa(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def splitting(folder, out, *more):
    """The command that splits `all.csv`."""
    return [
        *("train", folder / "all.csv", "--label-range", 0, 10, "--name", "tiny", "-o", out),
        *("--recipe", folder / "recipe.toml", "--weights", folder / "backbone.safetensors"),
        *(*FROZEN, *more),
    ]


def refusal(out, *arguments):
    """The one line that a command of bad input says; nothing may have been trained."""
    result = lifeiqa(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert not (out / "metrics.jsonl").exists()
    (line,) = [line for line in result.stderr.splitlines() if not line.startswith("seed ")]
    return line


def all_that_is_shown(terminal):
    """Read until the other side has closed; a terminal then gives an error, not an end."""
    shown = b""
    with contextlib.suppress(OSError):
        while block := os.read(terminal, 1 << 16):
            shown += block
    os.close(terminal)
    return shown


def test_a_run_ends_with_its_figures_and_its_protocol(trained):
    out, result = trained
    report = runs.report(out)

    assert result.stdout.splitlines() == [
        f"tiny seed 0 on val, n 6: SROCC {report['srocc']:.4f}  PLCC {report['plcc']:.4f}",
        f"protocol {report['protocol']}",
    ]
    assert "backbone weights: backbone.safetensors; 12 images, 6 to validate" in result.stderr
    for row in runs.epochs(out):
        assert f"{row['phase']} {row['epoch']}/" in result.stderr
    assert read_manifest(out / "tiny.safetensors").labels.dataset == "blur"


def test_a_run_that_is_done_is_reported_again_and_not_done_again(trained, folder):
    out, result = trained
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.*")}

    again = lifeiqa(*runs.arguments(folder, out, "--resume"))

    assert again.stdout == result.stdout
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.*")} == before


def test_several_seeds_end_with_their_medians(folder, tmp_path):
    result = lifeiqa(*splitting(folder, tmp_path, "--repeat", 2, "--share", "0.4"))

    first, second = (runs.report(tmp_path / name) for name in ("seed-0", "seed-1"))
    lines = result.stdout.splitlines()
    assert [line.partition(" on ")[0] for line in lines[:2]] == ["tiny seed 0", "tiny seed 1"]
    srocc, plcc = ((first[name] + second[name]) / 2 for name in ("srocc", "plcc"))
    assert lines[2] == f"median of 2: SROCC {srocc:.4f}  PLCC {plcc:.4f}"
    assert lines[3].startswith("protocol honest: ")
    assert {first["train"], second["train"]} == {9}


def test_the_literature_is_named_in_what_is_printed(folder, tmp_path):
    result = lifeiqa(*splitting(folder, tmp_path, "--protocol", "literature", "--json"))

    report = json.loads(result.stdout)
    assert report["protocol"].startswith("literature: the reported epoch is the best on the test")
    assert report["measured_on"] == "test"
    assert read_split(tmp_path / "split.json").val == ()


def test_a_saved_split_is_taken_and_kept(folder, tmp_path):
    lifeiqa(*splitting(folder, tmp_path / "first", "--set", "seed=7"))
    split = tmp_path / "first" / "split.json"
    result = lifeiqa(*splitting(folder, tmp_path / "second", "--split", split))

    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "second" / "split.json").read_text() == split.read_text()


def test_a_run_goes_on_from_another_with_its_network(trained, folder, tmp_path):
    start = trained[0] / "tiny.safetensors"
    command = runs.arguments(folder, tmp_path, "--from", start, *FROZEN)

    refused = refusal(tmp_path, *command, "--set", "dim=24")
    result = lifeiqa(*command)

    assert refused == f"ConfigError: {start} holds another network: dim 16 -> 24"
    assert result.exit_code == 0, result.stderr
    manifest = read_manifest(tmp_path / "tiny.safetensors")
    assert [parent.file for parent in manifest.parents] == ["tiny.safetensors"]
    assert manifest.config == read_manifest(start).config


def test_a_study_prints_its_table_and_keeps_it(folder, tmp_path):
    command = splitting(folder, tmp_path, "--set", "memory_stage=none")
    result = lifeiqa("study", "data", *command[1:], "--seeds", 1)

    assert result.exit_code == 0, result.stderr
    assert result.stdout == (tmp_path / "data.md").read_text()
    rows = result.stdout.splitlines()[2:6]
    assert [row.split("|")[1].strip() for row in rows] == ["20%", "40%", "60%", "100%"]
    reports = [runs.report(path.parent) for path in tmp_path.glob("*/*/report.json")]
    written = sorted(float(row.split("|")[3]) for row in rows)
    assert written == sorted(round(report["srocc"], 4) for report in reports)


def test_softened_targets_are_learned_like_any_table(folder, tmp_path):
    command = splitting(folder, tmp_path / "soft")[1:]
    softened = lifeiqa("crossfit", *command, "--folds", 2, "--seeds", 1, "--weight", 0.75)
    assert softened.exit_code == 0, softened.stderr
    targets = softened.stdout.strip()
    assert targets == str(tmp_path / "soft" / "targets.csv")

    command[0] = targets
    trained = lifeiqa("train", *command, "-o", tmp_path / "trained")

    assert trained.exit_code == 0, trained.stderr
    recorded = read_manifest(tmp_path / "trained" / "tiny.safetensors").training["train"]
    assert recorded["name"] == "targets train"


def test_a_study_with_a_row_that_cannot_be_made_is_refused(folder, tmp_path):
    command = splitting(folder, tmp_path, "--set", "memory_stage=none")

    assert refusal(tmp_path, "study", "ablation", *command[1:]).startswith(
        "ConfigError: row 'w/o GCN' of the study ablation: depth 1 with mixer 'none'"
    )


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("a.png", 1), ("lost.png", 2)], r"1 of 2 images are missing, first .*lost\.png"),
        ([("a.png", 1), ("b.png", "nan")], r"line 3: the score is 'nan', not a number"),
        ([("a.png", 1), ("b.png", "")], r"line 3: the score is '', not a number"),
        ([("a.png", 3), ("b.png", 3)], r"the score of all 2 images is 3\.0"),
        ([("a.png", 1), ("b.png", 10.5)], r"from 1\.0 to 10\.5, outside the label range 0\.\.10"),
        ([("a.png", 1)], r"1 images; at least 2 are needed"),
        ([], r"a header and no row"),
    ],
)
def test_a_table_that_cannot_be_learned_is_refused(folder, tmp_path, rows, complaint):
    for name in ("a.png", "b.png"):
        Image.new("RGB", (80, 80)).save(tmp_path / name)
    table = runs.write_table(tmp_path / "table.csv", rows)
    command = runs.arguments(folder, tmp_path / "out", *FROZEN)
    command[1] = table

    assert re.search(f"^DatasetError: .*{complaint}", refusal(tmp_path / "out", *command))


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (
            ["--recipe", "nonesuch"],
            r"ConfigError: nonesuch: no recipe of that name; there are .*fr",
        ),
        (["--recipe", "lost.toml"], r"ConfigError: lost\.toml: these settings cannot be read"),
        (["--recipe", "frozen", "--preset", "x"], r"ConfigError: x: no preset of that name; there"),
        (["--set", "depht=3"], r"ConfigError: --set depht=3: write KEY=VALUE with KEY one of"),
        (["--set", "dim=7"], r"ConfigError: dim 7 is not divisible by heads 2"),
        (["--set", "backbone=resnet_9"], r"ConfigError: backbone 'resnet_9': timm .* has no model"),
        (["--set", "joint.unfreeze=x"], r"ConfigError: phase joint unfreezes x: no parameter"),
        (["--weights", "lost.pth"], r"CheckpointError: lost\.pth: no such file of weights"),
        (["--from", "lost"], r"ConfigError: lost: neither a file nor a bundled model"),
    ],
)
def test_settings_that_cannot_work_are_refused(folder, tmp_path, monkeypatch, more, complaint):
    monkeypatch.chdir(tmp_path)

    assert re.match(complaint, refusal(tmp_path, *runs.arguments(folder, tmp_path, *more)))


@pytest.mark.parametrize("length", [0, 4, 100, -1000])
def test_a_damaged_checkpoint_is_refused(trained, folder, tmp_path, length):
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes((trained[0] / "tiny.safetensors").read_bytes()[:length])

    line = refusal(tmp_path, *runs.arguments(folder, tmp_path, "--from", damaged))

    assert re.match(rf"(Artifact|Checkpoint)Error: {damaged}: ", line)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["t.csv", "--dataset", "koniq", "--data", "."], "Name the labelled images once"),
        ([], "Name the labelled images once"),
        (["--dataset", "koniq"], "--dataset NAME and --data DIR belong together"),
        (
            ["--dataset", "koniq", "--data", ".", "--label-range", 0, 1],
            "--label-range belongs to TABLE.csv",
        ),
        (["t.csv"], "TABLE.csv needs --label-range LOW HIGH"),
        (
            ["t.csv", "--label-range", 0, 1, "--val", "v.csv", "--split-by", "random"],
            "nothing to split",
        ),
        (["t.csv", "--label-range", 0, 1, "--share", 0], "0.0 is not in the range 0<x<=1"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path, arguments, complaint):
    result = lifeiqa("train", *arguments, "-o", tmp_path / "out")

    assert complaint in result.stderr
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_weights_that_the_hub_cannot_give_name_the_three_ways(folder, tmp_path):
    ended = subprocess.run(
        [
            *(*COMMAND, "train", folder / "train.csv", "--val", folder / "val.csv"),
            *("--label-range", "0", "10", "--preset", "swin_tiny", "-o", tmp_path / "out"),
        ],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},  # no network, no cache
        capture_output=True,
        text=True,
    )

    (line,) = ended.stderr.splitlines()
    assert line.startswith("CheckpointError: no weights for swin_tiny_patch4_window7_224")
    assert all(way in line for way in ("model hub", "--weights FILE", "from a package"))
    assert ended.returncode == 2
    assert not (tmp_path / "out").exists()


def test_progress_shows_loss_and_time_left_on_a_terminal_and_nothing_in_a_pipe(
    folder, trained, tmp_path
):
    above, below = pty.openpty()
    termios.tcsetwinsize(below, (24, 100))
    process = subprocess.Popen(
        [*COMMAND, *runs.arguments(folder, tmp_path, *FROZEN)],
        env=os.environ | {"TQDM_MININTERVAL": "0"},
        stdout=subprocess.PIPE,
        stderr=below,
    )
    os.close(below)
    shown = all_that_is_shown(above)
    printed, _ = process.communicate()

    assert process.returncode == 0, shown.decode()
    bar = r"frozen 1/1: +67%\|[^|]*\| 2/3 \[\d\d:\d\d<\d\d:\d\d, .*loss=\d\.\d{4}\]"
    assert re.search(bar, shown.decode())
    assert b"settled frozen 1" in shown
    assert printed.startswith(b"tiny seed 0 on val")
    _, piped = trained
    assert "\r" not in piped.stderr
    assert "%|" not in piped.stderr
