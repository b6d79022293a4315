"""The program of examples/cpp, built against the installed library."""

import csv
import io
import os
import subprocess

import pytest
from PIL import Image

from helpers import tiny
from helpers.c_interface import python_scorer
from lifeiqa.errors import ArtifactError
from lifeiqa.weights import bundled
from lifeiqa_benchmarks.starts import starts
from lifeiqa_export.photographs import photographs

MODEL = str(bundled())


def run(example, *arguments):
    return subprocess.run([example, *map(str, arguments)], capture_output=True, text=True)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_holds_the_scores_of_python(example):
    names = photographs()[:3]
    done = run(example, "--crops", "five", "--device", "cpu", "--threads", "1", MODEL, *names)

    assert (done.returncode, done.stderr) == (0, "")
    with python_scorer(MODEL, crops="five", threads=1) as scorer:
        expected = [scorer.score(name) for name in names]
    rows = rows_of(done.stdout)
    assert [row["path"] for row in rows] == list(map(str, names))
    assert [row["score"] for row in rows] == [repr(score.value) for score in expected]
    assert [row["std"] for row in rows] == [repr(score.std) for score in expected]


def test_the_spread_of_one_crop_is_zero(example):
    done = run(example, "--crops", "center", MODEL, photographs()[0])
    assert rows_of(done.stdout)[0]["std"] == "0.0"


def test_an_image_too_long_for_its_crops_is_named(example, tmp_path):
    model = tiny.write_model(tmp_path / "tiny.onnx")
    long, wide = tmp_path / "long.png", tmp_path / "wide.png"
    Image.new("RGB", (600, 32)).save(long)
    Image.new("RGB", (500, 32)).save(wide)
    done = run(example, "--crops", "cover", "--device", "cpu", model, long, wide)

    assert [row["error"] for row in rows_of(done.stdout)] == ["", ""]
    assert done.stderr == f"lifeiqa-csv: {long}: too long for its crops, which leave gaps\n"


def test_an_image_that_fails_has_its_error_in_its_row(example, tmp_path):
    odd = tmp_path / 'a "name", with commas.png'
    odd.write_bytes(b"nonsense")
    done = run(example, MODEL, odd, photographs()[0])

    assert (done.returncode, done.stderr) == (1, "")
    bad, good = rows_of(done.stdout)
    assert bad["path"] == str(odd)
    assert bad["error"].startswith(f"{odd}: not an image")
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
        ("--runtime", "openvino", MODEL, "a"),
        ("--runtime", "tensorrt", MODEL, "a"),
        ("--device", "tpu", MODEL, "a"),
    ],
)
def test_invalid_arguments_have_status_2(example, arguments):
    done = run(example, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_provider_is_a_hidden_alias_of_device_that_warns(example):
    done = run(example, "--crops", "center", "--provider", "cpu", MODEL, photographs()[0])
    assert done.returncode == 0
    assert done.stderr == "lifeiqa-csv: --provider is deprecated, use --device\n"
    current = run(example, "--crops", "center", "--device", "cpu", MODEL, photographs()[0])
    assert done.stdout == current.stdout
    assert "--provider" not in run(example).stderr


def test_runtime_and_device_are_those_that_were_asked_for(example):
    arguments = ("--crops", "center", MODEL, photographs()[0])
    done = run(example, "--runtime", "onnxruntime", "--device", "cpu", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run(example, "--device", "cpu", *arguments).stdout


def test_a_model_that_cannot_be_opened_has_status_1(example):
    done = run(example, "none.onnx", "a.jpg")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "lifeiqa-csv: none.onnx: no such model file\n"


def test_the_benchmark_times_it_beside_python(example, tmp_path):
    image = tiny.write_image(tmp_path / "grey.png")
    found = starts(image, example)
    for name in ("Python", "C++"):
        whole, further = (found[f"one image in {name}, start {w}cluded"] for w in ("in", "ex"))
        assert 0 < further < whole


def test_the_benchmark_reports_a_command_that_fails(tmp_path):
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
def test_pkg_config_works_for_a_project_without_exceptions_and_one_in_c(
    build, tmp_path, compiler, suffix, source, flags
):
    library = build / "install" / "lib"
    environment = {**os.environ, "PKG_CONFIG_PATH": str(library / "pkgconfig")}
    query = ["pkg-config", "--cflags", "--libs", "lifeiqa"]
    options = subprocess.run(
        query, capture_output=True, text=True, check=True, env=environment
    ).stdout.split()
    file = tmp_path / f"main.{suffix}"
    file.write_text(source)
    command = [compiler, "-Wall", "-Wextra", "-Werror", *flags, file, "-o", tmp_path / "main"]
    subprocess.run([*command, *options, f"-Wl,-rpath,{library}"], check=True)

    done = run(tmp_path / "main", "none.onnx")

    assert (done.returncode, done.stdout) == (3, "none.onnx: no such model file\n")
