"""The wheel and the sdist: they hold the four packages, and what they install scores an image."""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from skimage import data

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.preprocess.pipeline import cut
from lifeiqa.scorer import Scorer
from lifeiqa.weights import bundled

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "lifeiqa": ROOT / "lifeiqa",
    "lifeiqa_export": ROOT / "export" / "lifeiqa_export",
    "lifeiqa_engines": ROOT / "engines" / "lifeiqa_engines",
    "lifeiqa_benchmarks": ROOT / "benchmarks" / "lifeiqa_benchmarks",
}
COMMANDS = ["lifeiqa", "lifeiqa-export", "lifeiqa-engine", "lifeiqa-bench"]
PHOTOGRAPH = Path(data.__file__).parent / "astronaut.png"
IMPORT_ALL = f"""
import importlib, pkgutil
for name in {list(PACKAGES)}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    print(package.__file__)
"""


def build(out, *kinds):
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, *kinds, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """What `make dist` builds: an sdist, and a wheel out of the sdist."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(dist):
    (wheel,) = dist.glob("*.whl")
    return wheel


def contents(wheel):
    """Name and SHA-256 of every file but the list of files."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith("/RECORD")
        }


def test_the_wheel_holds_every_file_of_the_four_packages(wheel):
    expected = {
        f"{name}/{path.relative_to(folder).as_posix()}": hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for name, folder in PACKAGES.items()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    found = contents(wheel)
    assert {name for name in found if ".dist-info/" not in name} == expected.keys()
    assert found.items() >= expected.items()


def test_the_sdist_and_the_sources_give_the_same_wheel(wheel, tmp_path):
    (direct,) = build(tmp_path, "--wheel").glob("*.whl")
    assert direct.name == wheel.name
    assert contents(direct) == contents(wheel)


@pytest.fixture(scope="module")
def elsewhere(wheel, tmp_path_factory):
    """Python of an environment with the wheel in it, which borrows all else from this one.

    Of an editable install of the sources it sees nothing: a path in a .pth file is searched for
    packages alone, not for further .pth files.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    python = new_environment(folder, "--without-pip")
    here = [sys.executable, "-m", "pip", "--quiet", "--python", python, "install"]
    subprocess.run([*here, "--no-deps", "--no-index", wheel], check=True, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def new_environment(folder, *options):
    subprocess.run([sys.executable, "-m", "venv", *options, folder], check=True)
    return folder / "bin" / "python"


def run(program, *arguments):
    """What a program of an environment writes, which knows nothing of the folder of the sources."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [program, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=program.parent,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_wheel_prints_its_help(elsewhere, command):
    assert run(elsewhere.with_name(command), "--help").startswith("Usage: ")


def test_every_module_of_the_wheel_can_be_imported(elsewhere):
    origins = run(elsewhere, "-W", "ignore", "-c", IMPORT_ALL).split()
    assert len(origins) == len(PACKAGES)
    assert all(Path(origin).is_relative_to(elsewhere.parents[1]) for origin in origins)


@pytest.mark.parametrize("suffix", [".safetensors", ".fp32.onnx"])
def test_the_wheel_scores_an_image_as_the_sources_do(elsewhere, suffix, tmp_path):
    """With its own weights, in PyTorch and in ONNX Runtime, and with its own page."""
    (weights,) = elsewhere.parents[1].glob(
        f"lib/python*/site-packages/lifeiqa/weights/fast{suffix}"
    )
    page = tmp_path / "page.html"
    row = scored(elsewhere, "--model", weights, "--html", page)
    with Scorer(bundled(suffix=suffix)) as scorer:
        assert row["score"] == scorer.score(PHOTOGRAPH).value
    assert "astronaut.png" in page.read_text()


def test_a_preset_of_the_wheel_is_found(elsewhere):
    code = "from lifeiqa.training.settings import names_of; print(*names_of('presets'))"
    assert "lite0" in run(elsewhere, "-c", code).split()


def scored(python, *options):
    command = python.with_name("lifeiqa")
    (line,) = run(command, "score", PHOTOGRAPH, "--format", "jsonl", *options).splitlines()
    return json.loads(line)


@pytest.fixture(scope="module")
def alone(wheel, tmp_path_factory):
    """Python of an environment with `lifeiqa[cpu]` and what that requires, and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    python = new_environment(folder)
    install = [python, "-m", "pip", "install", "--quiet", f"{wheel}[cpu]"]
    subprocess.run(install, check=True, cwd=folder)
    return python


@pytest.mark.long
def test_nothing_heavy_is_installed(alone):
    packages = json.loads(run(alone, "-m", "pip", "list", "--format", "json"))
    names = {package["name"].lower() for package in packages}
    assert {"lifeiqa", "numpy", "pillow", "click", "onnxruntime"} <= names
    assert not names & {"torch", "timm", "onnx", "scipy", "scikit-image", "safetensors", "openvino"}


@pytest.mark.long
def test_the_bundled_model_scores_a_photograph(alone):
    row = scored(alone)
    assert 0 < row["score"] < 1
    manifest = read_manifest(bundled())
    crops = cut(PHOTOGRAPH, manifest.preprocessing, manifest.config.crop_size).crops
    assert row["crops"] == len(crops)
    code = f"from lifeiqa import Scorer; print(Scorer().score({str(PHOTOGRAPH)!r}).value)"
    assert float(run(alone, "-c", code)) == row["score"]


@pytest.mark.long
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_prints_its_help_without_the_extras(alone, command):
    assert run(alone.with_name(command), "--help").startswith("Usage: ")


@pytest.mark.long
def test_inspecting_needs_nothing_more(alone):
    assert "fast" in run(alone.with_name("lifeiqa"), "inspect", "fast")


@pytest.mark.long
def test_what_is_missing_is_named_with_its_extra(alone):
    done = subprocess.run(
        [alone.with_name("lifeiqa-export"), "--precision", "fp16"],
        capture_output=True,
        text=True,
        cwd=alone.parent,
    )
    assert done.returncode == 2
    assert "pip install 'lifeiqa[export]'" in done.stderr
    assert "Traceback" not in done.stderr
