"""What is taken when no provider is named: with and without OpenVINO, a GPU, and either runtime."""

import sys

import onnxruntime
import pytest

from helpers import fake_tensorrt, tiny
from helpers.fake_onnxruntime import CPU, FakeOnnxRuntime
from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.cli import main
from lifeiqa.errors import DeviceError, installed
from lifeiqa.runtimes import open_session, selection
from lifeiqa.runtimes.onnxruntime import providers
from lifeiqa.runtimes.selection import preferred_provider, runs_with


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


class Machine:
    """A machine that has what a test puts there; OpenVINO and ONNX Runtime are really installed."""

    def __init__(self, monkeypatch):
        self.monkeypatch = monkeypatch
        self.driver(False)

    def driver(self, there):
        def device():
            if not there:
                raise DeviceError("there is no CUDA driver here")
            return fake_tensorrt.GPU

        for module in (providers, selection):
            self.monkeypatch.setattr(module, "cuda_device", device)

    def put(self, name, module):
        self.monkeypatch.setitem(sys.modules, name, module)

    def without(self, name):
        self.put(name, None)


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def told_and_taken(model):
    """What inspect would say, and the runtime of a session."""
    with open_session(model) as session:
        assert session.run(tiny.crops(7)) == pytest.approx([7])
        return runs_with(read_manifest(model)), session.runtime


def test_openvino_is_taken_where_it_is_installed_and_there_is_no_gpu(model, machine):
    told, taken = told_and_taken(model)

    assert taken.startswith("OpenVINO ")
    assert told == f"{taken}; --provider cpu takes ONNX Runtime"


def test_openvino_alone_is_enough(model, machine):
    machine.without("onnxruntime")

    told, taken = told_and_taken(model)

    assert taken.startswith("OpenVINO ")
    assert told == taken


def test_onnx_runtime_is_taken_without_openvino(model, machine):
    machine.without("openvino")

    told, taken = told_and_taken(model)

    assert told == taken == f"ONNX Runtime {onnxruntime.__version__} CPU"


@pytest.mark.parametrize("openvino", [True, False])
def test_a_gpu_that_onnx_runtime_can_use_comes_first(model, machine, openvino):
    """Against fakes of the driver and of onnxruntime-gpu."""
    machine.driver(True)
    machine.put("onnxruntime", FakeOnnxRuntime())
    if not openvino:
        machine.without("openvino")

    told, taken = told_and_taken(model)

    assert told == f"ONNX Runtime {onnxruntime.__version__} CUDA"
    assert taken == f"{told}, CUDA graphs"


def test_a_gpu_without_onnx_runtime_of_cuda_leaves_openvino(model, machine, monkeypatch):
    machine.driver(True)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    assert preferred_provider() == "openvino"

    machine.without("onnxruntime")
    assert preferred_provider() == "openvino"


def test_onnx_runtime_is_not_imported_to_find_that_there_is_no_gpu(machine):
    machine.put("onnxruntime", FakeOnnxRuntime())
    machine.monkeypatch.setattr(FakeOnnxRuntime, "get_available_providers", None)

    assert preferred_provider() == "openvino"


@pytest.mark.parametrize(
    ("provider", "runtime"), [("cpu", "ONNX Runtime"), ("openvino", "OpenVINO")]
)
def test_a_provider_that_is_named_is_taken_and_nothing_is_asked(
    model, monkeypatch, provider, runtime
):
    monkeypatch.setattr(providers, "cuda_device", None)
    monkeypatch.setattr(selection, "cuda_device", None)

    with open_session(model, provider=provider) as session:
        assert session.runtime.startswith(runtime)


def test_a_folder_called_openvino_is_no_installation(tmp_path, monkeypatch):
    (tmp_path / "no_such_runtime").mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    assert not installed("no_such_runtime")
    assert installed("onnxruntime")


def test_without_any_runtime_the_extra_is_told(model, machine):
    machine.without("openvino")
    machine.without("onnxruntime")

    told = runs_with(read_manifest(model))

    assert told.startswith("nothing here: ")
    assert "lifeiqa[cpu]" in told


def test_a_checkpoint_runs_in_pytorch(machine):
    checkpoint = tiny.manifest(kind="checkpoint")
    assert runs_with(checkpoint) == "PyTorch"

    machine.without("torch")
    assert "lifeiqa[export]" in runs_with(checkpoint)


def test_an_engine_runs_with_its_tensorrt_on_a_gpu(machine):
    """Against a fake of the driver; TensorRT-RTX is really installed, and not loaded."""
    engine = tiny.manifest(kind="engine", engine=fake_tensorrt.info(flavour="tensorrt-rtx"))

    assert runs_with(engine) == "nothing here: there is no CUDA driver here"
    machine.driver(True)
    assert runs_with(engine) == f"TensorRT-RTX on {fake_tensorrt.GPU.name}"
    machine.without("tensorrt_rtx")
    assert "lifeiqa[tensorrt-rtx]" in runs_with(engine)


def test_inspect_tells_it_in_its_last_line(model, machine):
    from click.testing import CliRunner

    result = CliRunner().invoke(main, ["inspect", str(model)])

    assert result.stdout.splitlines()[-1] == f"runs with {runs_with(read_manifest(model))}"
