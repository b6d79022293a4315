"""`lifeiqa-export --triton`: from a checkpoint, or from a file that is exported already."""

import sys

import pytest
from click.testing import CliRunner
from PIL import Image

from helpers import tiny
from helpers.fake_triton import config_in, faults, graph_in, tensors_of
from helpers.fake_trt_builder import GPU, FakeTensorRT
from helpers.manifests import write_plan
from helpers.tiny_network import random_crops
from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.errors import ConfigError
from lifeiqa_engines import build, network
from lifeiqa_export.cli import main, put_into
from lifeiqa_export.triton_config import config_text


def command(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_the_command_takes_a_model_that_is_exported_already(graph, repository):
    done = command(graph, "--triton", repository)
    again = command(graph, "--triton", repository)

    assert (done.exit_code, again.exit_code) == (0, 0)
    assert done.stdout == f"wrote {repository}/tiny_onnx/1\n"
    assert again.stdout == f"{repository}/tiny_onnx/1 holds it already\n"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--precision", "fp32"], "--precision"),
        (["-o", "out"], "--out"),
        (["--engine", "tensorrt"], "--engine"),
        (["--keep-failed"], "--keep-failed"),
    ],
)
def test_the_command_refuses_options_that_would_do_nothing(graph, repository, option, said):
    refused = command(graph, "--triton", repository, *option)

    assert refused.exit_code == 2
    assert refused.stderr == (
        f"ConfigError: {said} is for exporting a checkpoint, and {graph} is exported already: "
        f"leave it out\n"
    )
    assert not repository.exists()


def test_the_command_needs_a_precision_for_a_checkpoint(repository):
    refused = command("--triton", repository)

    assert refused.exit_code == 2
    assert refused.stderr == ("ConfigError: exporting fast needs --precision fp32, fp16 or int8\n")


def test_the_command_puts_nothing_where_a_part_has_no_place(graph, tmp_path, repository):
    """An engine's place can be known only once it is built; the graph then waits for it."""
    engine = write_plan(tmp_path / "x.engine", "1:8:32")
    (repository / "tiny-é_tensorrt").mkdir(parents=True)

    with pytest.raises(ConfigError, match="holds no model of Triton"):
        put_into(repository, graph, engine)
    assert [path for path in repository.rglob("*") if path.is_file()] == []


def export(checkpoint, tmp_path, *more):
    return command(checkpoint, "--precision", "fp32", "-o", tmp_path / "out", *more)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "holds no model of Triton"),
        (["--engine", "tensorrt-rtx", "--target", "sm89"], "Triton runs engines of TensorRT, and"),
    ],
)
def test_what_triton_cannot_take_is_refused_before_the_work(
    checkpoint, tmp_path, repository, more, words
):
    (repository / "tiny_onnx").mkdir(parents=True)

    refused = export(checkpoint, tmp_path, "--triton", repository, *more)

    assert refused.exit_code == 2
    assert words in refused.stderr
    assert "exporting" not in refused.stderr
    assert not (tmp_path / "out").exists()


def test_one_command_gives_graph_engine_and_repository(
    checkpoint, tmp_path, repository, monkeypatch
):
    """The graph is real; the engine is of a fake TensorRT on a fake GPU, which cannot run it."""
    trt = FakeTensorRT()
    monkeypatch.setattr(tiny, "SIZE", 112)  # the fake parses every graph as tiny's
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setattr(build, "cuda_device", lambda: GPU)
    monkeypatch.setattr(network, "cuda_device", lambda: GPU)
    images = tmp_path / "images"
    images.mkdir()
    for number, crop in enumerate(random_crops(3, 150)):
        Image.fromarray(crop // (1 + number)).save(images / f"{number}.png")
    loose = ("--parity-images", images, "--tolerance", "srocc=-1")  # 3 images do not rank

    done = export(checkpoint, tmp_path, "--engine", "tensorrt", "--triton", repository, *loose)

    assert done.exit_code == 0, done.stderr
    assert "engine parity: not measured" in done.stdout
    graph, engine = repository / "tiny_onnx" / "1", repository / "tiny_tensorrt" / "1"
    assert f"wrote {graph}\nwrote {engine}\n" in done.stdout
    config = config_in(graph.parent)
    assert faults(config, graph.parent, graph_in(graph / "model.onnx")) == []
    assert trt.configurations[-1].profiles == [(1, 1, 1), (2, 8, 8), (9, 32, 32)]
    info = read_manifest(engine / "model.plan").engine
    assert faults(config_in(engine.parent), engine.parent, tensors_of(info), 3) == []
    text = (engine.parent / "config.pbtxt").read_text(encoding="utf-8")
    assert text == config_text(read_manifest(engine / "model.plan"), "tiny_tensorrt")
