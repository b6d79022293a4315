"""lifeiqa-export --engine: from a checkpoint to an engine in one command."""

import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from helpers.tiny_network import random_crops
from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.errors import DeviceError
from lifeiqa.runtimes.cuda.driver import cuda_device
from lifeiqa_export.cli import main


def export(checkpoint, out, *more):
    arguments = [checkpoint, "--precision", "fp16", "-o", out, *more]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def without_driver():
    """Why there is no GPU here, or None."""
    try:
        cuda_device()
    except DeviceError as error:
        return str(error)
    return None


def test_one_command_gives_graph_and_engine(checkpoint, tmp_path):
    """The real TensorRT-RTX; whether the engine's scores are right is shown on a GPU alone."""
    images = tmp_path / "images"
    images.mkdir()
    for number, crop in enumerate(random_crops(3, 150)):
        Image.fromarray(crop // (1 + number)).save(images / f"{number}.png")
    out = tmp_path / "out"
    loose = ("--parity-images", images, "--tolerance", "srocc=-1")  # 3 images do not rank

    run = export(checkpoint, out, "--engine", "tensorrt-rtx", "--target", "sm89", *loose)

    assert run.exit_code == 0, run.stderr
    engine = out / "tiny.fp16.tensorrt-rtx.sm89.engine"
    assert f"wrote {engine}\n" in run.stdout
    assert read_manifest(engine).parents[0].file == "tiny.fp16.onnx"
    assert sorted(path.name for path in out.iterdir()) == [
        "tiny.fp16.onnx",
        "tiny.fp16.onnx.json",
        engine.name,
        f"{engine.name}.json",
    ]
    reason = without_driver()
    assert reason is None or f"engine parity: not measured ({reason})" in run.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "sm89"], "--target sm89 is the chip of an engine: give --engine as well"),
        (["--engine", "tensorrt-rtx", "--target", "sm90"], "target 'sm90': TensorRT-RTX "),
    ],
)
def test_what_cannot_be_built_is_refused_before_the_work(checkpoint, tmp_path, options, message):
    run = export(checkpoint, tmp_path / "out", *options)

    assert run.exit_code == 2
    assert message in run.stderr
    assert "exporting" not in run.stderr
    assert not (tmp_path / "out").exists()


def test_an_engine_without_its_tensorrt_is_refused_before_the_work(
    checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    run = export(checkpoint, tmp_path / "out", "--engine", "tensorrt")

    assert run.exit_code == 2
    assert "pip install 'lifeiqa[tensorrt]'" in run.stderr
    assert not (tmp_path / "out").exists()
