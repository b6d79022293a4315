"""`lifeiqa score` where files, names, terminals and permissions are not as they should be."""

import csv
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import tiny
from helpers.scoring import greys, rows, score

LIFEIQA = Path(sys.executable).with_name("lifeiqa")


def unprivileged(*command):
    """A command without the capabilities by which root reads what it may not."""
    if os.getuid() != 0:
        return command
    if shutil.which("setpriv") is None:
        pytest.skip("root may read every folder, and there is no setpriv to be somebody else")
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", *command)


def test_a_folder_without_permission_is_a_row_and_the_rest_is_scored(model, folder, tmp_path):
    closed = folder / "closed"
    closed.mkdir()
    tiny.write_image(closed / "40.png", 40)
    closed.chmod(0)
    command = unprivileged(LIFEIQA, "score", "-r", folder, "--model", model, "--format", "csv")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    closed.chmod(0o755)

    assert done.returncode == 1, done.stderr
    *good, bad = sorted(csv.DictReader(io.StringIO(done.stdout)), key=lambda row: row["error"])
    assert [row["score"] for row in good] == ["10.0", "20.0", "30.0"]
    assert (bad["path"], bad["error"]) == (str(closed), "DatasetError")
    assert bad["message"] == "folder cannot be read: Permission denied"


def test_links_that_lead_in_a_circle_are_not_followed(model, folder):
    (folder / "again").symlink_to(folder)
    (folder / "self.png").symlink_to(folder / "self.png")

    found = rows(model, folder, "-r", status=1)

    assert greys(found) == [10, 20, 30, None]
    assert found[3]["message"] == "Too many levels of symbolic links"


@pytest.mark.parametrize("kind", ["file", "folder", "archive"])
def test_what_may_not_be_read_is_a_row_and_the_rest_is_scored(model, folder, tmp_path, kind):
    closed = tmp_path / {"file": "closed.png", "folder": "closed", "archive": "closed.tar"}[kind]
    closed.mkdir() if kind == "folder" else closed.write_bytes(b"")
    closed.chmod(0)
    named = [folder / "10.png", closed, folder / "30.png"]
    command = unprivileged(LIFEIQA, "score", *named, "--model", model, "--format", "csv")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    closed.chmod(0o755)

    assert (done.returncode, done.stderr) == (1, "")
    first, bad, last = csv.DictReader(io.StringIO(done.stdout))
    assert [first["score"], last["score"]] == ["10.0", "30.0"]
    assert bad["path"] == str(closed)
    assert bad["message"].endswith("Permission denied")


@pytest.mark.parametrize("style", ["table", "csv", "jsonl", "parquet"])
def test_a_bad_file_of_any_name_breaks_no_form_of_rows(model, folder, monkeypatch, style):
    """The name is in what the decoder says of it, too."""
    monkeypatch.chdir(folder)
    for name in (b"caf\xe9.png", b"two\nlines.png", b"\x1b[31mred.png"):
        Path(os.fsdecode(name)).write_text("dear diary")

    done = score(model, ".", "--format", style)

    assert (done.exit_code, done.stderr) == (1, "")
    if style == "csv":
        found = {row["path"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
        bad = [r"./caf\xe9.png", r"./two\nlines.png", r"./\x1b[31mred.png"]
        assert sorted(found) == sorted(["./10.png", "./20.png", "./30.png", *bad])
        messages = {row["message"] for row in found.values() if row["error"]}
        assert {message.partition(" (")[0] for message in messages} == {
            "not an image in a supported format"
        }
    elif style == "table":
        assert len(done.stdout.splitlines()) == 7


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_terminal_that_is_closed(model, folder, tmp_path, closed):
    command = f"{LIFEIQA} score {folder} --model {model} {closed}>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)

    if closed == "1":
        assert done.returncode == 2
        assert (
            done.stderr
            == "ConfigError: standard output is closed: name --out, or redirect the output\n"
        )
    else:
        assert done.returncode == 0
        assert len(done.stdout.splitlines()) == 4
