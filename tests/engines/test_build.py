"""Engines of the real TensorRT-RTX, which builds without a GPU: the file, its sidecar, refusals."""

import dataclasses
import importlib.metadata
import json
import sys

import onnx
import pytest
import tensorrt_rtx
import torch
from onnx import TensorProto, helper

import tiny
from lifeiqa.engine import BatchProfile, EngineInfo, Tensor
from lifeiqa.errors import (
    ArtifactError,
    ConfigError,
    DeviceError,
    EngineBuildError,
    MissingDependencyError,
)
from lifeiqa.files import sha256_of
from lifeiqa.flavours import flavour_named
from lifeiqa.manifest import Manifest, Parent, read_manifest, sidecar_of, write_with_sidecar
from lifeiqa.sessions import driver
from lifeiqa.sessions.driver import Device
from lifeiqa_engines import build, configuration, network
from lifeiqa_engines.build import EnginePath, engine_from_onnx
from lifeiqa_engines.configuration import BuildOptions
from lifeiqa_export.dense import densify
from lifeiqa_export.graph import onnx_from_model
from lifeiqa_export.half import halve
from tiny_network import tiny_manifest, tiny_model

VERSION = tensorrt_rtx.__version__
ABSENT = "libnone-such-library.so"


@pytest.fixture(autouse=True)
def without_a_gpu(monkeypatch):
    """What holds for builds of TensorRT-RTX on any machine is tested as on one without a driver."""
    monkeypatch.setattr(driver, "_DRIVER", ABSENT)


def build_engine(path, out, **options):
    return engine_from_onnx(path, out, **{"flavour": "tensorrt-rtx", "target": "sm89", **options})


def profiles(text):
    return [BatchProfile.parse(each) for each in text.split(",")]


def write_network(folder, precision, *, batch=None, **changes):
    """The exported file of a tiny network, as lifeiqa-export writes it."""
    torch.manual_seed(0)
    dense = densify(tiny_model())
    described = dataclasses.replace(
        tiny_manifest(dense),
        kind="onnx",
        precision=precision,
        batch=batch,
        opset=20,
        parents=(Parent(file="tiny.safetensors", sha256="ab" * 32),),
        tools={"onnx": onnx.__version__},
        parity=({"name": "ONNX FP32 -> FP16", "max_drift": 0.0012, "srocc": 0.9999},),
    )
    model = onnx_from_model(halve(dense) if precision == "fp16" else dense, batch=batch)
    path = folder / f"tiny.{precision}.onnx"
    described = dataclasses.replace(described, **changes)
    write_with_sidecar(path, described, lambda temporary: onnx.save(model, temporary))
    return path


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A real network in float16, with an open batch."""
    return write_network(tmp_path_factory.mktemp("half"), "fp16")


@pytest.fixture(scope="module")
def built(half, tmp_path_factory):
    said = []
    out = tmp_path_factory.mktemp("built") / "new" / "folder"
    return build_engine(half, out, report=said.append), said


@pytest.fixture
def grey(tmp_path):
    """The simplest graph with a manifest."""
    return tiny.write_model(tmp_path / "tiny.fp32.onnx")


def refusal(error, path, **options):
    """The message of a build that fails, which leaves nothing behind."""
    out = path.parent / "out"
    with pytest.raises(error) as caught:
        build_engine(path, out, **options)
    assert not out.exists() or list(out.iterdir()) == []
    return str(caught.value)


def test_an_engine_is_a_plan_of_tensorrt(built):
    engine, _ = built

    assert engine.path.read_bytes()[1:4] == b"trt"
    # A plan of TensorRT-RTX holds its kernels' code, a quarter of a megabyte for a profile.
    assert 1e5 < engine.path.stat().st_size < 2e7


def test_an_engine_goes_by_name_precision_flavour_and_chip(built):
    engine, _ = built

    assert isinstance(engine, EnginePath)
    assert engine.path.name == "tiny.fp16.tensorrt-rtx.sm89.engine"
    assert sorted(path.name for path in engine.path.parent.iterdir()) == [
        "tiny.fp16.tensorrt-rtx.sm89.engine",
        "tiny.fp16.tensorrt-rtx.sm89.engine.json",
    ]
    with open(engine, "rb") as file:  # noqa: PTH123  # it goes wherever a path does
        assert file.read(4)[1:] == b"trt"


def test_a_build_says_what_it_does(built):
    _, said = built

    assert said == [
        f"parsing tiny.fp16.onnx with TensorRT-RTX {VERSION}",
        "building for sm89, batch 1, 8, 32",
    ]


def test_the_sidecar_says_all_that_an_engine_was_built_for(built, half):
    engine, _ = built
    parent, manifest = read_manifest(half), read_manifest(engine.path)
    arithmetic = manifest.engine.arithmetic

    assert manifest == engine.manifest
    assert manifest.kind == "engine"
    assert manifest.sha256 == sha256_of(engine.path)
    assert manifest.parents == (
        Parent(file="tiny.fp16.onnx", sha256=sha256_of(half)),
        Parent(file="tiny.safetensors", sha256="ab" * 32),
    )
    assert manifest.engine == EngineInfo(
        flavour="tensorrt-rtx",
        version=VERSION,
        compute_capability="8.9",
        gpu=None,
        driver=None,
        profiles=tuple(profiles("1,8,32")),
        tensors=(
            Tensor(name="crops", type="uint8", shape=(-1, 112, 112, 3)),
            Tensor(name="score", type="float32", shape=(-1,)),
        ),
        arithmetic=arithmetic,
        hardware_compatibility="none",
        version_compatible=False,
        refittable=False,
        stripped=False,
    )
    assert arithmetic["float16"] > 5 * arithmetic["float32"] > 0
    assert manifest.tools == {
        "onnx": onnx.__version__,
        "lifeiqa": importlib.metadata.version("lifeiqa"),
        "tensorrt-rtx": VERSION,
    }
    kept = ("name", "config", "preprocessing", "labels", "precision", "opset", "parity", "training")
    assert {name: getattr(manifest, name) for name in kept} == {
        name: getattr(parent, name) for name in kept
    }


def test_the_same_file_gives_the_same_engine(grey, tmp_path):
    first = build_engine(grey, tmp_path / "first")
    second = build_engine(grey, tmp_path / "second")

    assert first.path.read_bytes() == second.path.read_bytes()
    assert sidecar_of(first.path).read_bytes() == sidecar_of(second.path).read_bytes()


@pytest.mark.parametrize("text", ["8", "1,8,32", "1:8:32", "1,2:8:32"])
def test_profiles_are_those_that_were_asked_for(grey, tmp_path, text):
    engine = build_engine(grey, tmp_path, profiles=profiles(text))

    assert engine.manifest.engine.profiles == tuple(profiles(text))
    assert engine.manifest.engine.tensors[0].shape == (-1, tiny.SIZE, tiny.SIZE, 3)
    assert engine.path.name == "tiny.fp32.tensorrt-rtx.sm89.engine"


def test_profiles_reach_tensorrt(grey, tmp_path):
    """Each size adds its kernels; the range is compiled once."""
    size = {
        text: build_engine(grey, tmp_path / text, profiles=profiles(text)).path.stat().st_size
        for text in ("8", "1,8", "1,8,32", "1:8:32")
    }

    assert 1.5 * size["8"] < size["1,8"] < size["1,8,32"]
    assert size["1:8:32"] < 1.5 * size["8"]


def test_a_fixed_batch_is_part_of_network_and_name(grey, tmp_path):
    engine = build_engine(grey, tmp_path, static=8)

    assert engine.path.name == "tiny.fp32.tensorrt-rtx.sm89.b8.engine"
    assert engine.manifest.engine.profiles == (BatchProfile.fixed(8),)
    assert [tensor.shape for tensor in engine.manifest.engine.tensors] == [
        (8, tiny.SIZE, tiny.SIZE, 3),
        (8,),
    ]
    assert engine.manifest.batch is None


@pytest.mark.parametrize("options", [{}, {"static": 4}, {"profiles": profiles("4")}])
def test_a_graph_of_one_batch_gives_an_engine_of_that_batch(tmp_path, options):
    path = tiny.write_model(tmp_path / "tiny.fp32.onnx", batch=4)
    engine = build_engine(path, tmp_path, **options)

    assert engine.path.name == "tiny.fp32.tensorrt-rtx.sm89.b4.engine"
    assert engine.manifest.engine.profiles == (BatchProfile.fixed(4),)
    assert engine.manifest.engine.tensors[0].shape == (4, tiny.SIZE, tiny.SIZE, 3)


def test_an_exported_graph_of_one_batch_builds(tmp_path):
    path = write_network(tmp_path, "fp16", batch=2)
    engine = build_engine(path, tmp_path)

    assert engine.path.name == "tiny.fp16.tensorrt-rtx.sm89.b2.engine"
    assert engine.manifest.engine.tensors[0].shape == (2, 112, 112, 3)


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
            "an engine runs on the chips it was built for: name them as targets",
        ),
        ("version_compatible", True, "an engine is tied to the release that built it"),
        ("refit", True, "it needs the GPU while building, and is used to build without one"),
        ("strip_plan", True, "it needs the GPU while building, and is used to build without one"),
        ("layers", True, "an engine has to be loaded on a GPU to show its layers"),
    ],
)
def test_what_a_flavour_cannot_do_is_refused_with_its_reason(grey, option, value, reason):
    options = BuildOptions(**{option: value})

    assert refusal(ConfigError, grey, options=options) == (
        f"{option} is not for TensorRT-RTX: {reason}"
    )


def test_all_refused_options_are_named_together(grey):
    message = refusal(ConfigError, grey, options=BuildOptions(refit=True, layers=True))

    assert message.startswith("refit is not for TensorRT-RTX: ")
    assert "; layers is not for TensorRT-RTX: " in message


@pytest.mark.parametrize(
    ("target", "compute_capability"),
    [("sm75", "7.5"), ("sm80", "8.0"), ("sm86", "8.6"), ("sm120", "12.0")],
)
def test_every_chip_of_tensorrt_can_be_built_for(grey, tmp_path, target, compute_capability):
    engine = build_engine(grey, tmp_path, target=target)

    assert engine.path.name == f"tiny.fp32.tensorrt-rtx.{target}.engine"
    assert engine.manifest.engine.compute_capability == compute_capability
    assert engine.manifest.engine.target == target


def test_the_chip_reaches_tensorrt(grey, tmp_path):
    plans = {
        target: build_engine(grey, tmp_path, target=target).path.read_bytes()
        for target in ("sm80", "sm89", "sm120")
    }

    assert len(set(plans.values())) == 3


@pytest.mark.parametrize("target", ["sm90", "sm8", "SM89", "none", "current", "", "rtx"])
def test_a_chip_that_tensorrt_does_not_know_is_refused(grey, target):
    message = refusal(ConfigError, grey, target=target)

    assert message.startswith(f"target {target!r}: TensorRT-RTX {VERSION} builds for sm75, sm80, ")
    assert "sm90" not in message.removeprefix(f"target {target!r}")
    assert "current" not in message.removeprefix(f"target {target!r}")


def test_without_a_gpu_a_chip_has_to_be_named(grey):
    message = refusal(ConfigError, grey, target=None)

    assert message.startswith("there is no GPU here: name the chip to build for, sm75, sm80, ")


def test_with_a_gpu_its_chip_is_the_default(grey, tmp_path, monkeypatch):
    """The GPU is a fake; TensorRT-RTX builds for its chip without touching it."""
    gpu = Device(index=0, name="Fake 3090", compute_capability="8.6", driver="580.65.06")
    monkeypatch.setattr(build, "cuda_device", lambda: gpu)
    info = build_engine(grey, tmp_path, target=None).manifest.engine

    assert (info.target, info.gpu, info.driver) == ("sm86", "Fake 3090", "580.65.06")


def test_the_full_tensorrt_needs_a_gpu_before_it_is_touched(grey, monkeypatch):
    """Its module is a fake without any content: whoever touched it would fail."""
    monkeypatch.setitem(sys.modules, "tensorrt", object())

    message = refusal(DeviceError, grey, flavour="tensorrt", target=None)

    assert message.startswith("there is no CUDA driver here")


@pytest.mark.parametrize(
    ("flavour", "module"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "tensorrt_rtx")]
)
def test_a_tensorrt_that_is_not_installed_names_its_extra(grey, monkeypatch, flavour, module):
    monkeypatch.setitem(sys.modules, module, None)

    assert refusal(MissingDependencyError, grey, flavour=flavour) == (
        f"building engines needs the package '{module}', which is not installed. "
        f"Install it: pip install 'lifeiqa[{flavour}]'"
    )


def test_an_unknown_flavour_is_refused(grey):
    assert refusal(ConfigError, grey, flavour="openvino") == (
        "flavour is 'openvino': choose one of tensorrt, tensorrt-rtx"
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


def test_a_graph_with_its_manifest_inside_alone_builds(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.fp32.onnx", embed=True)
    engine = build_engine(path, tmp_path)

    assert engine.manifest.parents == (Parent(file=path.name, sha256=sha256_of(path)),)


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

    monkeypatch.setattr("lifeiqa.manifest.sidecar_text", broken)

    assert "No space left" in refusal(OSError, grey)


def test_float32_is_computed_as_float32(grey):
    """TF32 would round what the router needs exactly, and TensorRT begins with it."""
    chosen = flavour_named("tensorrt-rtx")
    parsed = network.Network(tensorrt_rtx, grey)
    begun = parsed.builder.create_builder_config()
    made = configuration.Configuration(tensorrt_rtx, chosen, parsed, BuildOptions())

    assert begun.get_flag(tensorrt_rtx.BuilderFlag.TF32)
    assert not made._config.get_flag(tensorrt_rtx.BuilderFlag.TF32)


def test_the_sidecar_is_plain_json_that_says_its_checksum_last(grey, tmp_path):
    values = json.loads(sidecar_of(build_engine(grey, tmp_path).path).read_text())

    assert next(iter(values.items())) == ("format", 1)
    assert list(values)[-1] == "checksum"
    assert values["engine"]["profiles"][1] == {"minimum": 8, "optimum": 8, "maximum": 8}
    assert Manifest.from_json(
        json.dumps({name: value for name, value in values.items() if name != "checksum"}),
        origin="here",
    )
    assert values["engine"]["tensors"][0]["type"] == "uint8"


def test_types_of_a_graph_are_not_widened(tmp_path):
    """A product in float16 stays one, whatever the flags of a builder."""
    size = (None, tiny.SIZE, tiny.SIZE, 3)
    nodes = [
        helper.make_node("Cast", ["crops"], ["samples"], to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["samples", "samples"], ["squares"]),
        helper.make_node("ReduceMean", ["squares", "axes"], ["mean"], keepdims=0),
        helper.make_node("Cast", ["mean"], ["score"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "squares",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, size)],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None])],
        [helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3])],
    )
    opsets = [helper.make_opsetid("", 20)]
    path = tmp_path / "tiny.fp16.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    tiny.write_sidecar(path, precision="fp16")

    arithmetic = build_engine(path, tmp_path).manifest.engine.arithmetic

    assert arithmetic == {"float16": 3, "float32": 1}
