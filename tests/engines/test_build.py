"""Engines of the real TensorRT-RTX, which builds without a GPU: the file and its sidecar."""

import importlib.metadata
import json

import onnx
import pytest
import tensorrt_rtx
from onnx import TensorProto, helper

from helpers import tiny
from helpers.builds import build_engine, profiles, write_network
from lifeiqa.artifacts.engine_info import BatchProfile, EngineInfo, Tensor
from lifeiqa.artifacts.manifest import Manifest, Parent, read_manifest, sidecar_of
from lifeiqa.files import sha256_of
from lifeiqa.runtimes.cuda.driver import Device
from lifeiqa.runtimes.tensorrt.library import library_named
from lifeiqa_engines import build, configuration, network
from lifeiqa_engines.build import EnginePath
from lifeiqa_engines.configuration import BuildOptions

VERSION = tensorrt_rtx.__version__
pytestmark = pytest.mark.usefixtures("without_a_gpu")


@pytest.fixture(scope="module")
def built(half, tmp_path_factory):
    said = []
    out = tmp_path_factory.mktemp("built") / "new" / "folder"
    return build_engine(half, out, report=said.append), said


def test_an_engine_is_a_plan_of_tensorrt(built):
    engine, _ = built

    assert engine.path.read_bytes()[1:4] == b"trt"
    # A plan of TensorRT-RTX holds its kernels' code, a quarter of a megabyte for a profile.
    assert 1e5 < engine.path.stat().st_size < 2e7


def test_an_engine_goes_by_name_precision_runtime_and_chip(built):
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
        runtime="tensorrt-rtx",
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


def test_with_a_gpu_its_chip_is_the_default(grey, tmp_path, monkeypatch):
    """The GPU is a fake; TensorRT-RTX builds for its chip without touching it."""
    gpu = Device(index=0, name="Fake 3090", compute_capability="8.6", driver="580.65.06")
    monkeypatch.setattr(build, "cuda_device", lambda: gpu)
    info = build_engine(grey, tmp_path, target=None).manifest.engine

    assert (info.target, info.gpu, info.driver) == ("sm86", "Fake 3090", "580.65.06")


def test_a_graph_with_its_manifest_inside_alone_builds(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.fp32.onnx", embed=True)
    engine = build_engine(path, tmp_path)

    assert engine.manifest.parents == (Parent(file=path.name, sha256=sha256_of(path)),)


def test_float32_is_computed_as_float32(grey):
    """TF32 would round what the router needs exactly, and TensorRT begins with it."""
    chosen = library_named("tensorrt-rtx")
    parsed = network.Network(tensorrt_rtx, grey)
    begun = parsed.builder.create_builder_config()
    made = configuration.Configuration(tensorrt_rtx, chosen, parsed, BuildOptions())

    assert begun.get_flag(tensorrt_rtx.BuilderFlag.TF32)
    assert not made._config.get_flag(tensorrt_rtx.BuilderFlag.TF32)


def test_the_sidecar_is_plain_json_that_says_its_checksum_last(grey, tmp_path):
    values = json.loads(sidecar_of(build_engine(grey, tmp_path).path).read_text())

    assert next(iter(values.items())) == ("format", 2)
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
