"""What is not built, with the real TensorRT-RTX: the reason is said, and nothing is left behind."""

import dataclasses
import sys

import onnx
import pytest
import tensorrt_rtx
from onnx import helper

from helpers import tiny
from helpers.builds import build_engine, profiles, refusal, write_network
from lifeiqa.artifacts.manifest import read_manifest, sidecar_of, write_with_sidecar
from lifeiqa.errors import (
    ArtifactError,
    ConfigError,
    DeviceError,
    EngineBuildError,
    MissingDependencyError,
)
from lifeiqa_engines import build
from lifeiqa_engines.configuration import BuildOptions

VERSION = tensorrt_rtx.__version__
pytestmark = pytest.mark.usefixtures("without_a_gpu")


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"static": 8}, "8"),
        ({"profiles": profiles("8")}, "8"),
        ({"profiles": profiles("1:4:8")}, "1:4:8"),
        ({"profiles": profiles("4,8")}, "4, 8"),
    ],
)
def test_another_batch_than_that_of_the_graph_is_refused(tmp_path, options, asked):
    path = tiny.write_model(tmp_path / "tiny.fp32.onnx", batch=4)

    assert refusal(ConfigError, path, **options) == (
        f"batch {asked}: this graph was exported for batch 4 alone. Leave the batch away, or "
        f"export it without --batch"
    )


def test_batches_that_contradict_each_other_are_refused(grey):
    assert refusal(ConfigError, grey, static=8, profiles=profiles("1,8")) == (
        "static 8 and profiles exclude each other: give one of them"
    )
    assert refusal(ConfigError, grey, profiles=[]) == (
        "profiles is empty: an engine has at least one batch size"
    )
    assert "whole numbers of 1 to" in refusal(ConfigError, grey, static=0)
    assert "whole numbers of 1 to" in refusal(ConfigError, grey, static=10**30)


@pytest.mark.parametrize("options", [{"static": 2**31 - 1}, {"profiles": profiles("2147483647")}])
def test_what_tensorrt_cannot_compile_comes_back_in_its_words(grey, options):
    message = refusal(EngineBuildError, grey, **options)

    assert message.startswith(f"TensorRT-RTX {VERSION} built no engine: IBuilder::")
    assert "exceeds" in message
    assert "catchCudaError" not in message


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        (
            "timing_cache",
            "times.cache",
            "it times no kernels while building: they are compiled when the engine is loaded",
        ),
        (
            "hardware_compatibility",
            "ampere_plus",
            "an engine runs on the chips it was built for: name them with --target",
        ),
        ("version_compatible", True, "an engine is tied to the release that built it"),
        ("refit", True, "that needs the GPU while building, and TensorRT-RTX builds without one"),
        (
            "strip_plan",
            True,
            "that needs the GPU while building, and TensorRT-RTX builds without one",
        ),
        ("layers", True, "an engine must be loaded on a GPU to show its layers"),
    ],
)
def test_what_a_runtime_cannot_do_is_refused_with_its_reason(grey, option, value, reason):
    options = BuildOptions(**{option: value})

    assert refusal(ConfigError, grey, options=options) == (
        f"{option} is not for TensorRT-RTX: {reason}"
    )


def test_all_refused_options_are_named_together(grey):
    message = refusal(ConfigError, grey, options=BuildOptions(refit=True, layers=True))

    assert message.startswith("refit is not for TensorRT-RTX: ")
    assert "; layers is not for TensorRT-RTX: " in message


@pytest.mark.parametrize("target", ["sm90", "sm8", "SM89", "none", "current", "", "rtx"])
def test_a_chip_that_tensorrt_does_not_know_is_refused(grey, target):
    message = refusal(ConfigError, grey, target=target)

    assert message.startswith(f"target {target!r}: TensorRT-RTX {VERSION} builds for sm75, sm80, ")
    assert "sm90" not in message.removeprefix(f"target {target!r}")
    assert "current" not in message.removeprefix(f"target {target!r}")


def test_without_a_gpu_a_chip_has_to_be_named(grey):
    message = refusal(ConfigError, grey, target=None)

    assert message.startswith("there is no GPU here: name the chip to build for, sm75, sm80, ")


def test_the_full_tensorrt_needs_a_gpu_before_it_is_touched(grey, monkeypatch):
    """Its module is a fake without any content: whoever touched it would fail."""
    monkeypatch.setitem(sys.modules, "tensorrt", object())

    message = refusal(DeviceError, grey, runtime="tensorrt", target=None)

    assert message.startswith("no CUDA driver found")


@pytest.mark.parametrize(
    ("runtime", "module"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "tensorrt_rtx")]
)
def test_a_tensorrt_that_is_not_installed_names_its_extra(grey, monkeypatch, runtime, module):
    monkeypatch.setitem(sys.modules, module, None)

    assert refusal(MissingDependencyError, grey, runtime=runtime) == (
        f"building engines needs the package '{module}', which is not installed. "
        f"Install it: pip install 'lifeiqa[{runtime}]'"
    )


def test_an_unknown_runtime_is_refused(grey):
    assert refusal(ConfigError, grey, runtime="openvino") == (
        "runtime is 'openvino': choose one of tensorrt, tensorrt-rtx"
    )


def test_an_engine_is_not_built_from_an_engine(grey, tmp_path):
    engine = build_engine(grey, tmp_path / "first")

    assert refusal(ArtifactError, engine.path) == (
        f"{engine.path}: its kind is engine; engines are built from ONNX files"
    )


def test_a_file_that_was_changed_is_refused(grey):
    grey.write_bytes(grey.read_bytes() + b"\0")

    assert "One of the two was replaced" in refusal(ArtifactError, grey)


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "none.onnx"

    assert refusal(ArtifactError, path) == f"{path}: no such model file"


def test_a_graph_without_a_manifest_is_refused(grey):
    sidecar_of(grey).unlink()

    assert "it carries no lifeiqa manifest" in refusal(ArtifactError, grey)


def test_a_float32_file_never_becomes_a_float16_engine(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.fp16.onnx", precision="fp16")

    assert refusal(ArtifactError, path) == (
        f"{path}: its manifest says fp16, and its network has 0 float16 and 5 float32 tensors: "
        f"export it again with lifeiqa-export"
    )


def test_a_float16_file_never_goes_by_float32(tmp_path):
    path = write_network(tmp_path, "fp16")
    described = dataclasses.replace(read_manifest(path), precision="fp32")
    write_with_sidecar(path, described, lambda temporary: temporary.write_bytes(path.read_bytes()))

    message = refusal(ArtifactError, path)

    assert message.startswith(f"{path}: its manifest says fp32, and its network has ")
    assert message.endswith(" float32 tensors: export it again with lifeiqa-export")


@pytest.mark.parametrize(
    ("changes", "stated", "batch"),
    [
        ({"batch": 4}, "(4, 32, 32, 3)", None),
        ({}, "(-1, 32, 32, 3)", 4),
        ({"batch": 8}, "(8, 32, 32, 3)", 4),
        ({"config": tiny.ModelConfig(crop_size=64)}, "(-1, 64, 64, 3)", None),
    ],
)
def test_crops_that_the_manifest_does_not_state_are_refused(tmp_path, changes, stated, batch):
    path = tmp_path / "tiny.fp32.onnx"
    onnx.save(tiny.model(batch=batch), path)
    tiny.write_sidecar(path, **changes)

    assert refusal(ArtifactError, path) == (
        f"{path}: its manifest says uint8 {stated}, and its network takes uint8 "
        f"({batch or -1}, 32, 32, 3): export it again with lifeiqa-export"
    )


def test_a_graph_that_the_parser_refuses_writes_nothing(tmp_path):
    model = tiny.model()
    model.graph.node.append(helper.make_node("NonZero", ["samples"], ["where"], name="where"))
    path = tmp_path / "tiny.fp32.onnx"
    onnx.save(model, path)
    tiny.write_sidecar(path)

    message = refusal(EngineBuildError, path)

    assert message.startswith(f"{path}: TensorRT refuses the graph: node 'where' (NonZero): ")
    assert "lifeiqa-export writes dense routing instead" in message


def test_a_write_that_fails_halfway_leaves_nothing(grey, monkeypatch):
    def full(path, plan):
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(build, "_write", full)

    assert "No space left" in refusal(OSError, grey)


def test_a_write_that_fails_halfway_leaves_the_engine_before_it(grey, tmp_path, monkeypatch):
    def full(path, plan):
        path.write_bytes(b"half of it")
        raise OSError(28, "No space left on device", str(path))

    old = build_engine(grey, tmp_path / "out", profiles=profiles("1"))
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr(build, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        build_engine(grey, tmp_path / "out", profiles=profiles("8"))

    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert read_manifest(old.path) == old.manifest


def test_a_sidecar_that_cannot_be_written_leaves_no_engine(grey, monkeypatch):
    def broken(manifest):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lifeiqa.artifacts.manifest.sidecar_text", broken)

    assert "No space left" in refusal(OSError, grey)
