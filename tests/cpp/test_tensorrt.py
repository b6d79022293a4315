"""The TensorRT runtime of the C++ library, with a fake of TensorRT, CUDA and the driver.

The behaviour of the real TensorRT is not tested here, because that needs a GPU.
"""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.c_interface import CError, CLibrary
from helpers.cpp_builds import build_with_tensorrt
from helpers.manifests import ENGINE, FULL
from helpers.painting import painted
from lifeiqa.artifacts.engine_info import BatchProfile
from lifeiqa.artifacts.manifest import sidecar_of, write_with_sidecar

FAKES = Path(__file__).parent / "fake_tensorrt"

PROGRAM = """
import ctypes, json, sys
import numpy as np
from helpers.c_interface import CError, CLibrary
fake = ctypes.CDLL("libcuda.so.1")
fake.fake_calls.restype = ctypes.c_char_p
library, model, counts, options = *sys.argv[1:3], *map(json.loads, sys.argv[3:])
found = {"runs": [], "error": None}
def calls():
    lines, _, owned = fake.fake_calls().decode().rpartition("owned:")
    return lines.splitlines(), sorted(owned.split())
try:
    with CLibrary(library).scorer(model, **options) as scorer:
        found["runtime"] = scorer.model.runtime.decode()
        found["opened"] = calls()[0]
        size = scorer.model.crop_size
        for count in counts:
            crops = np.random.default_rng(count).integers(0, 256, (count, size, size, 3), np.uint8)
            scores = scorer.score_crops(crops)
            wrong = np.abs(scores - crops.mean((1, 2, 3)) / 255).max()
            found["runs"].append((calls()[0], float(wrong)))
except CError as error:
    found["error"] = error.kind, str(error)
found["closed"], found["owned"] = calls()
print(json.dumps(found))
"""


def built_with_fake(root, library):
    """Make a folder like a release of TensorRT, and build lifeiqa with TensorRT alone."""
    (root / "include").mkdir()
    (root / "lib").mkdir()
    for header in FAKES.glob("*.h"):
        shutil.copy(header, root / "include")
    fake = root / "lib" / library
    flags = ["-std=c++17", "-Wall", "-Wextra", "-shared", "-fPIC", f"-I{root / 'include'}"]
    subprocess.run(["c++", *flags, FAKES / "fake.cpp", "-o", fake], check=True)
    for name in ("libcudart.so", "libcuda.so.1"):
        (root / "lib" / name).symlink_to(fake)
    build_with_tensorrt(root, root / "build")
    return root


@pytest.fixture(scope="module")
def fakes(build, tmp_path_factory):
    return built_with_fake(tmp_path_factory.mktemp("fake"), "libnvinfer.so")


@pytest.fixture(scope="module")
def rtx_fakes(build, tmp_path_factory):
    return built_with_fake(tmp_path_factory.mktemp("fake_rtx"), "libtensorrt_rtx.so")


@pytest.fixture
def engine(tmp_path):
    """A function that writes an engine for the fake."""

    def write(*profiles, plan=b"plan", **changes):
        sizes = tuple(BatchProfile.parse(each) for each in profiles or ("8",))
        info = dataclasses.replace(ENGINE.engine, profiles=sizes, version="11.2.0.5", **changes)
        path = tmp_path / "model.engine"
        write_with_sidecar(
            path, dataclasses.replace(ENGINE, engine=info), lambda file: file.write_bytes(plan)
        )
        return path

    return write


def run(fakes, path, *counts, fail=None, **options):
    """Score batches of these sizes in a process of its own, in which the call ``fail`` fails."""
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(fakes / "lib"),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        **({"FAKE_FAIL": fail} if fail else {}),
    }
    arguments = [
        str(fakes / "build" / "liblifeiqa.so"),
        str(path),
        *map(json.dumps, (counts, options)),
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, env=environment
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


ONE_RUN = ["launch", "synchronize"]
MADE = [
    *("context", "malloc host", "malloc host", "malloc", "malloc"),
    *("profile 0", "shape 8", "address", "address"),
    *("copy", "enqueue", "copy", "synchronize"),  # the warm-up
    *("begin capture", "copy", "enqueue", "copy", "end capture", "instantiate"),
]


def test_buffers_are_allocated_once_and_a_graph_is_replayed(fakes, engine):
    found = run(fakes, engine(), 8, 8)

    assert found["error"] is None
    assert found["runtime"] == "TensorRT 11.2 Fake GPU, CUDA graph"
    assert [calls for calls, _ in found["runs"]] == [MADE + ONE_RUN, ONE_RUN]
    assert found["owned"] == []
    assert not any("DOUBLE FREE" in call for call in found["closed"])


@pytest.mark.parametrize("profiles", [("8",), ("1", "8"), ("1:4:8",), ("3", "1:2:5")])
def test_scores_are_right_for_any_number_of_crops(fakes, engine, profiles):
    found = run(fakes, engine(*profiles), 1, 2, 3, 5, 8, 9, 33)

    assert found["error"] is None
    assert max(wrong for _, wrong in found["runs"]) < 1e-6
    assert found["owned"] == []


def test_each_batch_size_runs_in_its_profile(fakes, engine):
    found = run(fakes, engine("4", "1:2:32"), 1, 4, 7)
    made = [
        [call for call in calls if call[:5] in ("profi", "shape")] for calls, _ in found["runs"]
    ]
    assert made == [["profile 1", "shape 1"], ["profile 0", "shape 4"], ["profile 1", "shape 8"]]


FAILURES = [*dict.fromkeys([*MADE, *ONE_RUN]), "runtime", "stream"]


@pytest.mark.parametrize("fail", FAILURES)
def test_nothing_stays_allocated_whatever_fails(fakes, engine, fail):
    found = run(fakes, engine(), 8, fail=fail)

    assert found["error"][0] == "DeviceError"
    assert found["owned"] == []
    assert not any("DOUBLE FREE" in call for call in found["closed"])


def test_tensorrt_rtx_captures_graphs_itself(rtx_fakes, engine):
    found = run(rtx_fakes, engine(runtime="tensorrt-rtx"), 8, 5, 9)

    assert found["error"] is None
    assert found["runtime"] == "TensorRT-RTX 11.2 Fake GPU, CUDA graph"
    assert max(wrong for _, wrong in found["runs"]) < 1e-6
    calls = [call for calls, _ in found["runs"] for call in calls]
    assert calls[:3] == ["runtime config", "graph strategy", "context"]
    assert "begin capture" not in calls
    assert found["owned"] == []


@pytest.mark.parametrize("fail", ["runtime config", "graph strategy", "context", "enqueue"])
def test_nothing_stays_allocated_in_tensorrt_rtx_whatever_fails(rtx_fakes, engine, fail):
    found = run(rtx_fakes, engine(runtime="tensorrt-rtx"), 8, fail=fail)
    assert found["error"][0] == "DeviceError"
    assert found["owned"] == []


def test_tensorrt_rtx_refuses_an_engine_of_tensorrt(rtx_fakes, engine):
    found = run(rtx_fakes, engine(), 8)
    assert found["error"][0] == "MissingDependencyError"
    assert "built for tensorrt, but" in found["error"][1]


@pytest.mark.parametrize("fail", ["cuInit", "cuDeviceGetCount"])
def test_without_a_driver_or_a_device_tensorrt_is_not_called(fakes, engine, fail):
    found = run(fakes, engine(), 1, fail=fail)
    assert found["error"][0] == "DeviceError"
    assert "nvidia-smi" in found["error"][1]
    assert set(found["closed"]) <= {"cuInit", "cuDeviceGetCount"}


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        (
            {"compute_capability": "9.0", "hardware_compatibility": "none"},
            "EngineMismatchError",
            "built for SM90, this is SM89 (Fake GPU)",
        ),
        ({"runtime": "tensorrt-rtx"}, "MissingDependencyError", "built for tensorrt-rtx"),
        ({"stripped": True, "refittable": True}, "ArtifactError", "built without its weights"),
        (
            {"plan": b"nonsense"},
            "ArtifactError",
            "TensorRT cannot load it: magic tag does not match",
        ),
    ],
)
def test_an_engine_that_does_not_fit_is_refused(fakes, engine, changes, kind, text):
    found = run(fakes, engine(**changes), 1)
    assert found["error"][0] == kind
    assert text in found["error"][1]
    assert found["owned"] == []


@pytest.mark.parametrize("options", [{"runtime": "tensorrt"}, {"device": "cuda"}])
def test_an_engine_runs_in_the_runtime_and_on_the_device_that_fit(fakes, engine, options):
    assert run(fakes, engine(), 8, **options)["error"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "onnxruntime"}, "runtime is 'onnxruntime', but model.engine runs in tensorrt"),
        ({"runtime": "tensorrt-rtx"}, "model.engine was built for 'tensorrt'"),
        ({"device": "cpu"}, "device is 'cpu', but model.engine runs in tensorrt on cuda"),
    ],
)
def test_a_runtime_or_device_that_does_not_fit_is_a_config_error(fakes, engine, options, message):
    found = run(fakes, engine(), 1, **options)
    assert found["error"][0] == "ConfigError"
    assert message in found["error"][1]
    assert found["closed"] == []


@pytest.mark.parametrize("version", ["11.2.0.6", "11.3.0.5", "10.9.0.34"])
def test_another_release_is_refused_with_the_command_that_rebuilds(fakes, engine, version):
    path = engine()
    info = dataclasses.replace(ENGINE.engine, version=version)
    write_with_sidecar(
        path, dataclasses.replace(ENGINE, engine=info), lambda file: file.write_bytes(b"plan")
    )
    kind, text = run(fakes, path, 1)["error"]
    assert kind == "EngineMismatchError"
    assert text.startswith(
        f"built by TensorRT {version}, this is 11.2.0.5. Rebuild: lifeiqa-engine"
    )


def test_a_later_release_runs_a_version_compatible_engine(fakes, engine):
    path = engine()
    info = dataclasses.replace(
        ENGINE.engine,
        version="11.1.0.1",
        version_compatible=True,
        profiles=(BatchProfile.fixed(8),),
    )
    write_with_sidecar(
        path, dataclasses.replace(ENGINE, engine=info), lambda file: file.write_bytes(b"plan")
    )
    found = run(fakes, path, 8)
    assert found["error"] is None
    assert "host code" in found["opened"]


@pytest.mark.parametrize("part", ["plan", "sidecar"])
def test_a_changed_byte_is_an_error_before_tensorrt_is_called(fakes, engine, part):
    path = engine()
    changed = path if part == "plan" else sidecar_of(path)
    data = bytearray(changed.read_bytes())
    data[-3] ^= 1
    changed.write_bytes(data)
    found = run(fakes, path, 1)
    assert found["error"][0] == "ArtifactError"
    assert found["closed"] == []


def test_a_library_without_onnx_runtime_and_decoding_reports_it(fakes, build, tmp_path):
    library = CLibrary(fakes / "build" / "liblifeiqa.so")
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(CError, match="built without ONNX Runtime") as raised:
        library.scorer(tmp_path / "model.onnx").__enter__()
    assert raised.value.kind == "MissingDependencyError"
    with pytest.raises(CError, match="built without decoding") as raised:
        library.decode(b"data")
    assert raised.value.kind == "MissingDependencyError"
    assert library.cut(painted(40, 40), FULL.preprocessing, 32).shape == (9, 32, 32, 3)


def test_a_library_without_tensorrt_reports_it(library, engine):
    path = engine()
    with pytest.raises(CError, match="built without TensorRT") as raised, library.scorer(path):
        pass
    assert raised.value.kind == "MissingDependencyError"
