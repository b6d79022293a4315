import csv
import io
import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from helpers import tiny
from lifeiqa.cli import main
from lifeiqa.files import sha256_of


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


@pytest.fixture
def folder(tmp_path):
    """Two images, one damaged, one below a further folder, and a file that is none."""
    images = tmp_path / "images"
    tiny.write_image(images / "a.png", 10)
    tiny.write_image(images / "c.PNG", 30)
    tiny.write_image(images / "below" / "d.png", 40)
    (images / "b.png").write_text("dear diary")
    (images / "notes.txt").write_text("dear diary")
    return images


def lifeiqa(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def score(model, *arguments):
    return lifeiqa(
        "score",
        "--model",
        model,
        "--runtime",
        "onnxruntime",
        "--device",
        "cpu",
        "--threads",
        1,
        *arguments,
    )


def json_lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_table_of_scores_has_a_row_an_image(model, folder):
    result = score(model, folder / "a.png", folder / "c.PNG")

    header, *rows = result.stdout.splitlines()
    assert header.split() == ["score", "std", "path"]
    assert [row.split() for row in rows] == [
        ["10.0000", "0.0000", str(folder / "a.png")],
        ["30.0000", "0.0000", str(folder / "c.PNG")],
    ]
    assert result.exit_code == 0


def test_a_bad_image_is_a_row_with_its_error_and_the_others_are_scored(model, folder):
    result = score(model, folder)

    first, bad, last = result.stdout.splitlines()[1:]
    assert first.startswith("  10.0000")
    assert bad.startswith("    error")
    assert f"{folder / 'b.png'}: not an image" in bad
    assert last.startswith("  30.0000")
    assert result.exit_code == 1


def test_a_csv_of_scores_can_be_read_back(model, folder):
    result = score(model, "--format", "csv", folder)

    good, bad, _ = csv.DictReader(io.StringIO(result.stdout))
    assert {name: value for name, value in good.items() if value} == {
        "path": str(folder / "a.png"),
        "score": "10.0",
        "std": "0.0",
        "width": "40",
        "height": "36",
        "crops": "5",
        "model": "tiny",
        "model_sha256": sha256_of(model),
    }
    assert bad["path"] == str(folder / "b.png")
    assert bad["score"] == bad["std"] == bad["crops"] == ""
    assert bad["error"] == "ImageError"
    assert bad["message"].startswith("not an image")
    assert result.exit_code == 1


def test_json_lines_hold_what_there_is(model, folder):
    result = score(model, "--format", "jsonl", folder)

    good, bad, _ = json_lines(result)
    assert (good["path"], good["score"], good["std"], good["crops"]) == (
        str(folder / "a.png"),
        *(10.0, 0.0, 5),
    )
    assert set(bad) == {"path", "model", "model_sha256", "error", "message"}
    assert result.exit_code == 1


def test_an_image_that_is_not_there_is_a_row_with_its_error(model, tmp_path):
    result = score(model, "--format", "jsonl", tmp_path / "lost.png")

    (row,) = json_lines(result)
    assert row["path"] == str(tmp_path / "lost.png")
    assert (row["error"], row["message"]) == ("ImageError", "No such file or directory")
    assert result.exit_code == 1


def test_folders_are_searched_below_when_asked(model, folder):
    flat, deep = (
        {row["path"] for row in json_lines(score(model, "--format", "jsonl", *options, folder))}
        for options in ([], ["--recursive"])
    )

    assert deep - flat == {str(folder / "below" / "d.png")}
    assert len(flat) == 3


def test_a_crop_plan_changes_the_number_of_crops(model, folder):
    result = score(model, "--format", "jsonl", "--crops", "grid:3", folder / "a.png")

    assert json_lines(result)[0]["crops"] == 9


def test_an_image_too_long_for_its_crops_is_noted_beside_its_score(model, tmp_path):
    path = tmp_path / "long.png"
    Image.new("RGB", (600, 32)).save(path)

    (row,) = json_lines(score(model, "--format", "jsonl", "--crops", "cover", path))
    table = score(model, "--format", "table", "--crops", "cover", path)

    assert (row["crops"], row["score"], "error" in row) == (16, 0, False)
    note = "the image is too long for crop plan cover: its 16 crops leave gaps"
    assert row["message"] == note
    assert table.stdout.endswith(f"{path} ({note})\n")


@pytest.mark.parametrize("style", ["table", "csv", "jsonl"])
def test_a_file_name_of_two_lines_is_printed_on_one(model, tmp_path, style):
    good = tiny.write_image(tmp_path / "two\nlines\r.png", 10)
    bad = tmp_path / "no\nimage.png"
    bad.write_text("dear diary")

    result = score(model, "--format", style, good, bad)

    rows = result.stdout.splitlines()[0 if style == "jsonl" else 1 :]
    assert len(rows) == 2
    paths = [json.loads(row)["path"] for row in rows] if style == "jsonl" else rows
    assert r"two\nlines\r.png" in paths[0]
    assert r"no\nimage.png" in paths[1]


@pytest.mark.parametrize("style", ["table", "csv", "jsonl"])
def test_a_file_name_that_is_not_utf8_is_printed(model, tmp_path, style):
    paths = [tmp_path / os.fsdecode(name) for name in (b"caf\xe9.png", b"no\xff.png")]
    try:
        tiny.write_image(paths[0], 10)
        paths[1].write_text("dear diary")
    except OSError:
        pytest.skip("this file system has no such names")

    result = score(model, "--format", style, *paths)

    text = result.stdout.replace("\\\\", "\\")  # JSON escapes the backslash
    assert r"caf\xe9.png" in text
    assert r"no\xff.png" in text
    assert result.exit_code == 1


def test_a_folder_without_an_image_is_bad_input(model, tmp_path):
    (tmp_path / "empty").mkdir()

    result = score(model, tmp_path / "empty")

    assert "DatasetError" in result.stderr
    assert "no image in this folder" in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--model", "nonesuch"], "nonesuch: neither a file nor a bundled model"),
        (["--crops", "six"], "crop plan 'six'"),
        (["--format", "xml"], "'xml'"),
        (["--threads", "0"], "0"),
        (["--runtime", "tpu"], "'tpu'"),
        (["--device", "tpu"], "'tpu'"),
    ],
)
def test_bad_input_is_told_on_standard_error_alone(model, folder, option, message):
    result = lifeiqa("score", "--model", model, *option, folder)

    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 2


@pytest.mark.parametrize("style", ["table", "csv", "jsonl"])
def test_a_reader_who_had_enough_of_a_pipe_is_no_error(model, folder, style):
    reader, writer = os.pipe()
    os.close(reader)
    arguments = ["score", "--model", str(model), "--format", style, str(folder / "a.png")]

    done = subprocess.run(
        [sys.executable, "-c", f"from lifeiqa.cli import main; main({arguments})"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)

    assert done.stderr == ""
    assert done.returncode == 1
