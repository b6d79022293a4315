"""A fresh environment with `lifeiqa[cpu]` alone scores a photograph, without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from skimage import data

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.preprocess.crops import CropPlan
from lifeiqa.weights import bundled

ROOT = Path(__file__).parents[1]
PHOTOGRAPH = Path(data.__file__).parent / "astronaut.png"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", f"{ROOT}[cpu]"], check=True, cwd=folder
    )
    return python


def run(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True, cwd=program.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_heavy_is_installed(python):
    packages = json.loads(run(python, "-m", "pip", "list", "--format", "json"))
    names = {package["name"].lower() for package in packages}
    assert {"lifeiqa", "numpy", "pillow", "click", "onnxruntime"} <= names
    assert not names & {"torch", "timm", "onnx", "scipy", "scikit-image", "safetensors", "openvino"}


def test_the_bundled_model_scores_a_photograph(python):
    lines = run(python.with_name("lifeiqa"), "score", str(PHOTOGRAPH), "--format", "jsonl")
    (row,) = map(json.loads, lines.splitlines())
    assert 0 < row["score"] < 1
    plan = CropPlan.parse(read_manifest(bundled()).preprocessing.crops)
    assert row["crops"] == plan.count
    again = run(
        python,
        "-c",
        f"from lifeiqa import Scorer; print(Scorer().score({str(PHOTOGRAPH)!r}).value)",
    )
    assert float(again) == row["score"]


def test_inspecting_needs_nothing_more(python):
    assert "lite0-biq2021" in run(python.with_name("lifeiqa"), "inspect", "lite0-biq2021")


def test_what_is_missing_is_named_with_its_extra(python):
    done = subprocess.run(
        [python.with_name("lifeiqa-export"), "--precision", "fp16"],
        capture_output=True,
        text=True,
        cwd=python.parent,
    )
    assert done.returncode == 2
    assert "pip install 'lifeiqa[export]'" in done.stderr
    assert "Traceback" not in done.stderr
