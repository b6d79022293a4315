"""What is checked before TensorRT sees an engine: for real, but the version and chip it meets."""

import contextlib
import subprocess
import sys

import pytest

from helpers import tiny
from helpers.fake_tensorrt import VERSION, write_engine
from lifeiqa import open_session
from lifeiqa.artifacts.manifest import sidecar_of
from lifeiqa.errors import (
    ArtifactError,
    ConfigError,
    DeviceError,
    EngineMismatchError,
    MissingDependencyError,
)
from lifeiqa.runtimes.cuda.driver import Device, cuda_device
from lifeiqa.runtimes.tensorrt import session as session_module
from lifeiqa.runtimes.tensorrt.session import TensorRTSession

HOPPER = Device(index=0, name="Fake H200", compute_capability="9.0", driver="580.65.06")


def flip(path, position):
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_byte_of_the_engine_that_changed_is_found(machine):
    path = machine.engine()
    flip(path, 3)

    with pytest.raises(ArtifactError, match=r"its sha256 is .* the manifest .* says"):
        open_session(path)

    assert machine.trt.loads == 0


def test_a_byte_of_the_sidecar_that_changed_is_found(machine):
    path = machine.engine()
    text = sidecar_of(path).read_bytes()
    flip(sidecar_of(path), text.index(b'"high": 255') + 9)

    with pytest.raises(ArtifactError, match=r"its checksum is .* its values give .* build"):
        open_session(path)

    assert machine.trt.loads == 0


def test_an_engine_that_is_replaced_after_its_check_is_not_loaded(machine, monkeypatch):
    path = machine.engine()
    read = session_module.read_manifest

    def replaced(path):
        manifest = read(path)
        path.write_bytes(b"another plan")
        return manifest

    monkeypatch.setattr(session_module, "read_manifest", replaced)

    with pytest.raises(ArtifactError, match="replaced while it was being opened"):
        TensorRTSession(path)

    assert machine.trt.loads == 0


def test_an_engine_without_its_sidecar_is_refused(machine):
    path = machine.engine()
    sidecar_of(path).unlink()

    with pytest.raises(ArtifactError, match=r"there is no manifest tiny\.fp16\.engine\.json"):
        open_session(path)


def test_a_file_that_is_no_engine_is_refused(machine):
    path = machine.engine()
    tiny.write_sidecar(path)

    with pytest.raises(ArtifactError, match="describes a file of kind 'onnx', not an engine"):
        open_session(path)


def test_another_version_is_refused_with_the_command_that_mends_it(machine):
    path = machine.engine(version="11.2.1.2")

    with pytest.raises(EngineMismatchError) as caught:
        open_session(path)

    assert str(caught.value) == (
        f"built by TensorRT 11.2.1.2, this is {VERSION}. "
        f"Rebuild: lifeiqa-engine build MODEL.onnx --runtime tensorrt"
    )
    assert machine.trt.loads == 0


def test_another_chip_is_refused_with_the_command_that_mends_it(machine):
    path = machine.engine()
    machine.put_in(HOPPER)

    with pytest.raises(EngineMismatchError) as caught:
        open_session(path)

    assert str(caught.value) == (
        "built for SM89, this is SM90 (Fake H200). "
        "Rebuild: lifeiqa-engine build MODEL.onnx --runtime tensorrt"
    )
    assert machine.trt.loads == 0


def test_the_command_for_an_engine_built_ahead_names_the_chip_that_is_here(machine):
    path = machine.engine(runtime="tensorrt-rtx")
    machine.put_in(HOPPER)

    with pytest.raises(EngineMismatchError, match=r"--runtime tensorrt-rtx --target sm90$"):
        open_session(path)


@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
def test_without_its_tensorrt_the_extra_is_named(machine, monkeypatch, runtime):
    path = machine.engine(runtime=runtime)
    monkeypatch.setitem(sys.modules, runtime.replace("-", "_"), None)

    with pytest.raises(MissingDependencyError, match=rf"pip install 'lifeiqa\[{runtime}\]'"):
        open_session(path)


def test_without_cuda_bindings_the_extra_is_named(machine, monkeypatch):
    path = machine.engine()
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)

    with pytest.raises(MissingDependencyError, match=r"'cuda'.* pip install 'lifeiqa\[tensorrt\]'"):
        open_session(path)


def test_a_cpu_is_refused(machine):
    with pytest.raises(
        ConfigError, match=r"device is 'cpu', and tiny\.fp16\.engine runs in tensorrt on cuda"
    ):
        open_session(machine.engine(), device="cpu")


def test_without_a_driver_the_process_lives_and_says_so(tmp_path):
    """The real TensorRT-RTX and the real driver check: without it this is a segmentation fault."""
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    with contextlib.suppress(DeviceError):
        pytest.skip(f"this machine has a CUDA driver: {cuda_device()}")
    path = write_engine(tmp_path / "m.engine", runtime="tensorrt-rtx", version=trt.__version__)
    code = f"""
from lifeiqa import open_session
from lifeiqa.errors import DeviceError
try:
    open_session({str(path)!r})
except DeviceError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("no CUDA driver found (libcuda.so.1: ")


def test_a_plan_that_tensorrt_cannot_load_is_an_error_with_its_reason(machine):
    """Against a fake."""
    path = machine.engine()
    machine.trt.broken = True

    with pytest.raises(ArtifactError, match="TensorRT cannot load it: the plan is malformed"):
        open_session(path)


@pytest.mark.parametrize("version_compatible", [False, True])
def test_code_of_the_host_is_allowed_for_engines_that_consist_of_it(machine, version_compatible):
    """Against a fake."""
    machine.open(version_compatible=version_compatible)

    assert machine.trt.host_code_allowed is version_compatible
