"""What the full TensorRT alone does. It needs a GPU, so here a fake stands for its module.

The fake, `fake_trt_builder`, says what it was told; that TensorRT does it is not shown here.
"""

import json
import re
import sys

import pytest
from click.testing import CliRunner

from helpers.fake_trt_builder import GPU, VERSION, FakeTensorRT
from lifeiqa.artifacts.engine_info import BatchProfile
from lifeiqa.artifacts.manifest import read_manifest, sidecar_of
from lifeiqa.errors import ConfigError, DeviceError, EngineBuildError
from lifeiqa.runtimes.cuda.driver import Device
from lifeiqa.runtimes.tensorrt.library import LIBRARIES
from lifeiqa_engines import build, network
from lifeiqa_engines.build import engine_from_onnx
from lifeiqa_engines.cli import main
from lifeiqa_engines.configuration import BuildOptions

NAME = "tiny.fp32.tensorrt.sm89.engine"
CACHE = f"times.tensorrt-{VERSION}-sm89-580.65.06.cache"


@pytest.fixture
def fake(monkeypatch):
    """A fake TensorRT on a machine with a fake L4."""
    trt = FakeTensorRT()
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setattr(build, "cuda_device", lambda: GPU)
    monkeypatch.setattr(network, "cuda_device", lambda: GPU)
    return trt


def names(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def put_in(monkeypatch, **changes):
    gpu = Device(**{**vars(GPU), **changes})
    monkeypatch.setattr(build, "cuda_device", lambda: gpu)
    monkeypatch.setattr(network, "cuda_device", lambda: gpu)


def flags(trt):
    return {flag.name for flag in trt.configurations[-1].flags}


def test_a_fake_build_says_on_which_gpu_it_was_made(fake, grey, out):
    said = []
    engine = engine_from_onnx(grey, out, report=said.append)
    info = read_manifest(engine.path).engine

    assert names(out) == [NAME, f"{NAME}.json"]
    assert engine.path.read_bytes() == b"ftrt: a fake plan"
    assert (info.runtime, info.version, info.compute_capability) == ("tensorrt", VERSION, "8.9")
    assert (info.gpu, info.driver) == ("Fake L4", "580.65.06")
    assert said == [f"parsing tiny.fp32.onnx with TensorRT {VERSION}", said[1]]
    assert said[1] == "building for sm89, batch 1, 8, 32"
    assert engine.manifest.tools["tensorrt"] == VERSION


def test_a_fake_build_gets_the_default_profiles_and_nothing_optional(fake, grey, out):
    info = engine_from_onnx(grey, out).manifest.engine
    told = fake.configurations[-1]

    assert told.profiles == [(1, 1, 1), (8, 8, 8), (32, 32, 32)]
    assert told.flags == set()  # not even TF32
    assert told.hardware_compatibility_level.name == "NONE"
    assert told.profiling_verbosity.name == "LAYER_NAMES_ONLY"
    assert not info.refittable
    assert not info.stripped


def test_a_fake_build_of_one_size_has_no_profile(fake, grey, out):
    engine = engine_from_onnx(grey, out, static=8)

    assert fake.configurations[-1].profiles == []
    assert engine.path.name == "tiny.fp32.tensorrt.sm89.b8.engine"


def test_a_fake_build_takes_a_range(fake, grey, out):
    engine_from_onnx(grey, out, profiles=[BatchProfile.parse("1:8:32")])

    assert fake.configurations[-1].profiles == [(1, 8, 32)]


@pytest.mark.parametrize("target", [None, "sm89"])
def test_the_target_may_be_the_gpu_that_is_there(fake, grey, out, target):
    engine = engine_from_onnx(grey, out, target=target)

    assert engine.manifest.engine.target == "sm89"
    assert not hasattr(fake.configurations[-1], "num_compute_capabilities")


def test_another_target_than_the_gpu_that_is_there_is_refused(fake, grey, out):
    with pytest.raises(ConfigError) as caught:
        engine_from_onnx(grey, out, target="sm120")

    assert str(caught.value) == (
        "target 'sm120': TensorRT builds for the GPU that is there, here sm89. Build on a machine "
        "with that chip, or with --runtime tensorrt-rtx"
    )
    assert names(out) == []


def test_a_chip_that_tensorrt_rtx_does_not_know_is_fine_for_a_gpu(fake, grey, out, monkeypatch):
    put_in(monkeypatch, compute_capability="9.0", name="Fake H100")
    engine = engine_from_onnx(grey, out)

    assert engine.path.name == "tiny.fp32.tensorrt.sm90.engine"
    assert engine.manifest.engine.gpu == "Fake H100"


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"version_compatible": True}, "VERSION_COMPATIBLE"),
        ({"refit": True}, "REFIT"),
        ({"strip_plan": True}, "STRIP_PLAN"),
    ],
)
def test_options_reach_the_fake_and_the_sidecar(fake, grey, out, options, flag):
    info = engine_from_onnx(grey, out, options=BuildOptions(**options)).manifest.engine

    assert flags(fake) == {flag}
    assert info.version_compatible is (flag == "VERSION_COMPATIBLE")
    assert info.refittable is (flag in ("REFIT", "STRIP_PLAN"))
    assert info.stripped is (flag == "STRIP_PLAN")


@pytest.mark.parametrize("level", ["ampere_plus", "same_compute_capability"])
def test_a_compatibility_level_reaches_the_fake_and_the_sidecar(fake, grey, out, level):
    options = BuildOptions(hardware_compatibility=level)
    info = engine_from_onnx(grey, out, options=options).manifest.engine

    assert fake.configurations[-1].hardware_compatibility_level.name == level.upper()
    assert info.hardware_compatibility == level


@pytest.mark.parametrize("version_compatible", [False, True])
def test_layers_go_to_a_second_file(fake, grey, out, version_compatible):
    """A version-compatible plan holds code, which the runtime has to be allowed to load."""
    options = BuildOptions(layers=True, version_compatible=version_compatible)
    engine_from_onnx(grey, out, options=options)

    assert names(out) == [NAME, f"{NAME}.json", f"{NAME}.layers.json"]
    assert json.loads((out / f"{NAME}.layers.json").read_text()) == {
        "Layers": ["mean"],
        "verbosity": "DETAILED",
    }


def test_layers_of_an_engine_that_was_replaced_are_removed(fake, grey, out):
    engine_from_onnx(grey, out, options=BuildOptions(layers=True))
    engine_from_onnx(grey, out)

    assert names(out) == [NAME, f"{NAME}.json"]


def test_layers_that_cannot_be_read_leave_no_engine(fake, grey, out):
    fake.refuse = "load"
    with pytest.raises(EngineBuildError) as caught:
        engine_from_onnx(grey, out, options=BuildOptions(layers=True))

    assert str(caught.value) == "its layers cannot be read: the plan cannot be loaded"
    assert names(out) == []


def test_a_fake_timing_cache_is_kept_from_build_to_build(fake, grey, out):
    options = BuildOptions(timing_cache=out / "times.cache")
    for build_number in (1, 2, 3):
        engine_from_onnx(grey, out, options=options)
        assert json.loads((out / CACHE).read_text()) == list(range(build_number))

    assert names(out) == [CACHE, NAME, f"{NAME}.json"]


@pytest.mark.parametrize(
    ("changes", "version", "name"),
    [
        ({}, "12.0.0.1", "times.tensorrt-12.0.0.1-sm89-580.65.06.cache"),
        ({"compute_capability": "9.0"}, VERSION, f"times.tensorrt-{VERSION}-sm90-580.65.06.cache"),
        ({"driver": "590.1"}, VERSION, f"times.tensorrt-{VERSION}-sm89-590.1.cache"),
        ({"driver": "CUDA 13.0"}, VERSION, f"times.tensorrt-{VERSION}-sm89-CUDA_13.0.cache"),
        ({"driver": "../x"}, VERSION, f"times.tensorrt-{VERSION}-sm89-.._x.cache"),
    ],
)
def test_times_of_another_version_chip_or_driver_are_not_used(
    fake, grey, out, monkeypatch, changes, version, name
):
    options = BuildOptions(timing_cache=out / "times.cache")
    engine_from_onnx(grey, out, options=options)
    put_in(monkeypatch, **changes)
    monkeypatch.setattr(FakeTensorRT, "__version__", version)
    engine_from_onnx(grey, out, options=options)

    assert json.loads((out / CACHE).read_text()) == [0]
    assert json.loads((out / name).read_text()) == [0]


def test_a_timing_cache_without_an_ending_keeps_its_key(fake, grey, out):
    engine_from_onnx(grey, out, options=BuildOptions(timing_cache=out / "times"))

    assert (out / CACHE.removesuffix(".cache")).is_file()


@pytest.mark.parametrize(
    ("content", "refuse", "reason"),
    [
        (b"damaged", None, "the cache is damaged"),
        (b"[0]", "timing cache", "it is of another GPU"),
    ],
)
def test_a_timing_cache_that_is_refused_is_left_and_named(fake, grey, out, content, refuse, reason):
    out.mkdir()
    (out / CACHE).write_bytes(content)
    fake.refuse = refuse
    with pytest.raises(ConfigError) as caught:
        engine_from_onnx(grey, out, options=BuildOptions(timing_cache=out / "times.cache"))

    assert str(caught.value) == (
        f"{out / CACHE}: TensorRT refuses this timing cache: {reason}. Delete it to begin anew"
    )
    assert (out / CACHE).read_bytes() == content
    assert names(out) == [CACHE]


@pytest.mark.parametrize(
    ("refuse", "message"),
    [
        ("build", f"TensorRT {VERSION} built no engine: no implementation for a node"),
        ("profile", "batch 1: TensorRT refuses the profile: no such shape"),
    ],
)
def test_what_the_fake_refuses_comes_back_in_its_words(fake, grey, out, refuse, message):
    fake.refuse = refuse
    with pytest.raises(EngineBuildError) as caught:
        engine_from_onnx(grey, out, options=BuildOptions(timing_cache=out / "times.cache"))

    assert str(caught.value) == message
    assert names(out) == []


def test_the_full_tensorrt_refuses_no_option():
    assert LIBRARIES["tensorrt"].refused == {}


def test_without_a_driver_the_fake_is_never_called(fake, grey, out, monkeypatch):
    def none():
        raise DeviceError("no CUDA driver found")

    monkeypatch.setattr(network, "cuda_device", none)
    with pytest.raises(DeviceError):
        engine_from_onnx(grey, out)
    with pytest.raises(DeviceError):
        network.check_onnx(grey, runtime="tensorrt")

    assert fake.logger is None


def test_the_command_hands_every_option_to_the_fake(fake, grey, out):
    arguments = ["build", str(grey), "-o", str(out), "--batch", "1,4:8:16", "--layers", "--refit"]
    arguments += [
        "--strip-plan",
        "--version-compatible",
        "--timing-cache",
        str(out / "times.cache"),
    ]
    run = CliRunner().invoke(main, [*arguments, "--hardware-compatibility", "ampere_plus"])

    assert run.exit_code == 0, run.output
    told = fake.configurations[-1]
    assert flags(fake) == {"REFIT", "STRIP_PLAN", "VERSION_COMPATIBLE"}
    assert told.profiles == [(1, 1, 1), (4, 8, 16)]
    assert told.hardware_compatibility_level.name == "AMPERE_PLUS"
    assert names(out) == [CACHE, NAME, f"{NAME}.json", f"{NAME}.layers.json"]
    assert re.search(r"^wrote .*sm89\.engine \(\d+\.\d MB, fp32\)$", run.stdout, re.MULTILINE)
    assert read_manifest(out / NAME).engine.hardware_compatibility == "ampere_plus"
    assert sidecar_of(out / NAME).is_file()


def test_the_command_asks_the_parser_of_the_fake(fake, grey):
    run = CliRunner().invoke(main, ["check", str(grey)])

    assert run.exit_code == 0
    assert run.stdout == f"TensorRT {VERSION} takes the graph\n"
