"""The program of examples/cpp, built against the installed library."""

import csv
import io
import os
import subprocess

import pytest

from helpers import tiny
from lifeiqa.errors import ArtifactError
from lifeiqa.scorer import Scorer
from lifeiqa.weights import bundled
from lifeiqa_benchmarks.starts import starts
from lifeiqa_export.photographs import photographs

MODEL = str(bundled())


def run(example, *arguments):
    return subprocess.run([example, *map(str, arguments)], capture_output=True, text=True)


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_its_table_holds_pythons_scores(example):
    names = photographs()[:3]
    done = run(example, "--crops", "five", "--provider", "cpu", "--threads", "1", MODEL, *names)

    assert (done.returncode, done.stderr) == (0, "")
    with Scorer(MODEL, crops="five", runtime="onnxruntime", device="cpu", threads=1) as scorer:
        expected = [scorer.score(name) for name in names]
    rows = table(done.stdout)
    assert [row["path"] for row in rows] == list(map(str, names))
    assert [row["score"] for row in rows] == [repr(score.value) for score in expected]
    assert [row["std"] for row in rows] == [repr(score.std) for score in expected]


def test_one_crop_has_no_spread_as_python_prints_it(example):
    done = run(example, "--crops", "center", MODEL, photographs()[0])
    assert table(done.stdout)[0]["std"] == "0.0"


def test_an_image_that_fails_costs_its_row(example, tmp_path):
    odd = tmp_path / 'a "name", with commas.png'
    odd.write_bytes(b"nonsense")
    done = run(example, MODEL, odd, photographs()[0])

    assert (done.returncode, done.stderr) == (1, "")
    bad, good = table(done.stdout)
    assert bad["path"] == str(odd)
    assert bad["error"] == f"{odd}: not an image in a format that is read (JPEG, PNG)"
    assert (bad["score"], good["error"]) == ("", "")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (MODEL,),
        ("--crops",),
        ("--threads", "0", MODEL, "a"),
        ("--threads", "2x", MODEL, "a"),
        ("--colour", "red", MODEL, "a"),
        ("--crops", "grid:0", MODEL, "a"),
    ],
)
def test_wrong_use_has_status_2(example, arguments):
    done = run(example, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_model_that_cannot_be_opened_has_status_1(example):
    done = run(example, "none.onnx", "a.jpg")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "lifeiqa-csv: none.onnx: no such model file\n"


def test_it_is_timed_beside_python(example, tmp_path):
    image = tiny.write_image(tmp_path / "grey.png")
    found = starts(image, example)
    for name in ("Python", "C++"):
        whole, further = (found[f"one image in {name}, start {w}cluded"] for w in ("in", "ex"))
        assert 0 < further < whole


def test_a_command_that_fails_is_named_with_its_words(tmp_path):
    with pytest.raises(ArtifactError, match="C\\+\\+: false failed"):
        starts(tiny.write_image(tmp_path / "grey.png"), "false")


NO_EXCEPTIONS = """
#include <lifeiqa/lifeiqa.hpp>
#include <cstdio>
int main(int, char** texts) {
  auto scorer = lifeiqa::Scorer::try_open(texts[1]);
  if (scorer) return 3;
  std::puts(scorer.status().message.c_str());
  return static_cast<int>(scorer.status().code);
}
"""
C = """
#include <lifeiqa/lifeiqa.h>
#include <stdio.h>
int main(int count, char** texts) {
  lifeiqa_scorer* scorer = NULL;
  int code = lifeiqa_open(texts[count - 1], NULL, &scorer);
  if (code != LIFEIQA_OK) puts(lifeiqa_last_error());
  lifeiqa_close(scorer);
  return code;
}
"""


@pytest.mark.parametrize(
    ("compiler", "suffix", "source", "flags"),
    [
        ("c++", "cpp", NO_EXCEPTIONS, ["-std=c++17", "-fno-exceptions", "-fno-rtti"]),
        ("cc", "c", C, ["-std=c99", "-pedantic"]),
    ],
)
def test_pkg_config_serves_a_project_without_exceptions_and_one_in_c(
    build, tmp_path, compiler, suffix, source, flags
):
    library = build / "install" / "lib"
    found = {**os.environ, "PKG_CONFIG_PATH": str(library / "pkgconfig")}
    asked = ["pkg-config", "--cflags", "--libs", "lifeiqa"]
    words = subprocess.run(asked, capture_output=True, text=True, check=True, env=found)
    file = tmp_path / f"main.{suffix}"
    file.write_text(source)
    command = [compiler, "-Wall", "-Wextra", "-Werror", *flags, file, "-o", tmp_path / "main"]
    subprocess.run([*command, *words.stdout.split(), f"-Wl,-rpath,{library}"], check=True)

    done = run(tmp_path / "main", "none.onnx")

    assert (done.returncode, done.stdout) == (3, "none.onnx: no such model file\n")
