"""Which runtime and device are taken: with and without OpenVINO, a GPU, and ONNX Runtime."""

import sys

import onnxruntime
import pytest
from click.testing import CliRunner

from helpers import fake_tensorrt, tiny
from helpers.fake_onnxruntime import CPU, FakeOnnxRuntime
from helpers.runtimes import ONNX_ON_CPU
from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.cli import main
from lifeiqa.errors import ConfigError, DeviceError, MissingDependencyError, installed
from lifeiqa.runtimes import open_session, tensorrt
from lifeiqa.runtimes.cuda import driver
from lifeiqa.runtimes.onnxruntime import providers
from lifeiqa.runtimes.selection import choose, runs_with


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
                raise DeviceError("no CUDA driver found")
            return fake_tensorrt.GPU

        for module in (driver, providers, tensorrt):
            self.monkeypatch.setattr(module, "cuda_device", device)

    def put(self, name, module):
        self.monkeypatch.setitem(sys.modules, name, module)

    def without(self, *names):
        for name in names:
            self.put(name, None)


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def chosen(path, manifest=None, **options):
    """Names of the runtime and the device that are taken."""
    runtime, device = choose(path, manifest or read_manifest(path), **options)
    return runtime.name, device


def default_of(path, manifest=None):
    """The line of `runs_with` that tells the default."""
    lines = runs_with(path, manifest or read_manifest(path))
    (line,) = [line for line in lines if line.endswith(" (default)")]
    return line.removesuffix(" (default)")


def told_and_taken(model):
    """What inspect would say, and the runtime of a session."""
    with open_session(model) as session:
        assert session.run(tiny.crops(7)) == pytest.approx([7])
        return default_of(model), session.runtime


def test_openvino_is_taken_where_it_is_installed_and_there_is_no_gpu(model, machine):
    told, taken = told_and_taken(model)

    assert taken.startswith("OpenVINO ")
    assert told == f"openvino on cpu: {taken}"


def test_openvino_alone_is_enough(model, machine):
    machine.without("onnxruntime")

    told, taken = told_and_taken(model)

    assert told == f"openvino on cpu: {taken}"


def test_onnx_runtime_is_taken_without_openvino(model, machine):
    machine.without("openvino")

    told, taken = told_and_taken(model)

    assert taken == f"ONNX Runtime {onnxruntime.__version__} CPU"
    assert told == f"onnxruntime on cpu: {taken}"


@pytest.mark.parametrize("openvino", [True, False])
def test_a_gpu_that_onnx_runtime_can_use_comes_first(model, machine, openvino):
    """Against fakes of the driver and of onnxruntime-gpu."""
    machine.driver(True)
    machine.put("onnxruntime", FakeOnnxRuntime())
    if not openvino:
        machine.without("openvino")

    told, taken = told_and_taken(model)

    assert told == f"onnxruntime on cuda: ONNX Runtime {onnxruntime.__version__} CUDA"
    assert taken == f"ONNX Runtime {onnxruntime.__version__} CUDA, CUDA graphs"


def test_a_gpu_without_onnx_runtime_of_cuda_leaves_openvino(model, machine, monkeypatch):
    machine.driver(True)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    assert chosen(model) == ("openvino", "cpu")

    machine.without("onnxruntime")
    assert chosen(model) == ("openvino", "cpu")


def test_onnx_runtime_is_not_imported_to_find_that_there_is_no_gpu(model, machine):
    machine.put("onnxruntime", FakeOnnxRuntime())
    machine.monkeypatch.setattr(FakeOnnxRuntime, "get_available_providers", None)

    assert chosen(model) == ("openvino", "cpu")


@pytest.mark.parametrize("runtime", ONNX_ON_CPU)
def test_a_runtime_and_a_device_that_are_named_are_taken_and_nothing_is_asked(
    model, monkeypatch, runtime
):
    for module in (driver, providers, tensorrt):
        monkeypatch.setattr(module, "cuda_device", None)

    assert chosen(model, runtime=runtime, device="cpu") == (runtime, "cpu")
    with open_session(model, runtime=runtime, device="cpu") as session:
        assert session.runtime.endswith(" CPU")


def test_a_device_alone_is_served_by_the_first_runtime_that_has_it(model, machine):
    assert chosen(model, device="cpu") == ("openvino", "cpu")
    assert chosen(model, device="cuda") == ("onnxruntime", "cuda")
    machine.without("openvino")
    assert chosen(model, device="cpu") == ("onnxruntime", "cpu")


def test_a_runtime_alone_takes_a_gpu_where_there_is_one(model, machine):
    assert chosen(model, runtime="onnxruntime") == ("onnxruntime", "cpu")
    machine.driver(True)
    machine.put("onnxruntime", FakeOnnxRuntime())
    assert chosen(model, runtime="onnxruntime") == ("onnxruntime", "cuda")
    assert chosen(model, runtime="openvino") == ("openvino", "cpu")


def test_a_runtime_without_the_device_is_refused_with_those_that_it_has(model):
    with pytest.raises(ConfigError) as caught:
        open_session(model, runtime="openvino", device="cuda")

    assert str(caught.value) == (
        "device is 'cuda', and tiny.onnx runs in openvino on cpu: choose that"
    )


def test_a_runtime_of_other_files_is_refused_with_those_that_fit(model):
    with pytest.raises(ConfigError) as caught:
        open_session(model, runtime="pytorch")

    assert str(caught.value) == (
        "runtime is 'pytorch', and tiny.onnx runs in openvino, onnxruntime: choose one of those, "
        "or another file"
    )


def test_a_folder_called_openvino_is_no_installation(tmp_path, monkeypatch):
    (tmp_path / "no_such_runtime").mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    assert not installed("no_such_runtime")
    assert installed("onnxruntime")


@pytest.mark.parametrize("driver", [True, False])
def test_without_any_runtime_the_commands_that_install_one_are_told(model, machine, driver):
    machine.without("openvino", "onnxruntime")
    machine.driver(driver)

    with pytest.raises(MissingDependencyError) as caught:
        open_session(model, device="cpu")

    assert str(caught.value) == (
        "running tiny.onnx needs OpenVINO or ONNX Runtime, not installed here. Install one of "
        "them: pip install 'lifeiqa[openvino]', or pip install 'lifeiqa[cpu]'"
    )
    with pytest.raises(MissingDependencyError, match=r"lifeiqa\[cpu\]"):
        open_session(model)
    with pytest.raises(MissingDependencyError) as caught:
        open_session(model, runtime="onnxruntime")
    assert str(caught.value) == (
        "running tiny.onnx needs ONNX Runtime, not installed here. Install it: "
        "pip install 'lifeiqa[cpu]'"
    )
    lines = runs_with(model, read_manifest(model))
    assert [line.partition(": ")[2].startswith("not available: ") for line in lines] == [True] * 3
    assert "lifeiqa[cpu]" in lines[-1]


def test_a_checkpoint_runs_in_pytorch(machine, tmp_path):
    checkpoint, path = tiny.manifest(kind="checkpoint"), tmp_path / "tiny.safetensors"
    assert chosen(path, checkpoint) == ("pytorch", "cpu")
    assert default_of(path, checkpoint).startswith("pytorch on cpu: PyTorch ")

    machine.without("torch")
    assert all("lifeiqa[export]" in line for line in runs_with(path, checkpoint))


@pytest.mark.parametrize("name", tensorrt.LIBRARIES)
def test_an_engine_runs_with_its_tensorrt_on_a_gpu(machine, tmp_path, name):
    """Against a fake of the driver and modules that are not loaded."""
    library, path = tensorrt.LIBRARIES[name], tmp_path / "tiny.engine"
    engine = tiny.manifest(kind="engine", engine=fake_tensorrt.info(runtime=name))
    machine.monkeypatch.setattr(tensorrt, "installed", lambda module: module == library.module)

    assert runs_with(path, engine) == [f"{name} on cuda: not available: no CUDA driver found"]
    machine.driver(True)
    assert (
        default_of(path, engine) == f"{name} on cuda: {library.title} on {fake_tensorrt.GPU.name}"
    )
    assert chosen(path, engine) == (name, "cuda")
    machine.monkeypatch.setattr(tensorrt, "installed", lambda module: False)
    assert f"lifeiqa[{name}]" in runs_with(path, engine)[0]


def test_an_engine_of_an_unknown_runtime_is_refused_by_its_name(tmp_path):
    engine = tiny.manifest(kind="engine", engine=fake_tensorrt.info(runtime="abacus"))

    with pytest.raises(ConfigError, match="built for 'abacus', and no such runtime is installed"):
        choose(tmp_path / "tiny.engine", engine)


def test_an_engine_is_not_opened_by_another_runtime(tmp_path):
    engine = tiny.manifest(kind="engine", engine=fake_tensorrt.info(runtime="tensorrt"))

    with pytest.raises(ConfigError, match=r"'tensorrt-rtx', and tiny\.engine was built for 'tenso"):
        choose(tmp_path / "tiny.engine", engine, runtime="tensorrt-rtx")


def test_inspect_tells_it_in_its_last_lines(model, machine):
    result = CliRunner().invoke(main, ["inspect", str(model)])

    lines = [f"runtime   {line}" for line in runs_with(model, read_manifest(model))]
    assert len(lines) == 3
    assert result.stdout.splitlines()[-3:] == lines
