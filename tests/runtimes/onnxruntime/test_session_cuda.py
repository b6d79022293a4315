"""ONNX Runtime on CUDA, against `fake_onnxruntime`: no test needs a GPU or says what one does."""

import subprocess
import sys

import numpy as np
import onnxruntime
import pytest

from helpers import tiny
from helpers.fake_onnxruntime import CPU, CUDA, FakeOnnxRuntime
from lifeiqa.errors import ArtifactError, ConfigError, DeviceError
from lifeiqa.runtimes import open_session
from lifeiqa.runtimes.onnxruntime import providers
from lifeiqa.runtimes.onnxruntime.session import OnnxRuntimeSession

SETTINGS = {"enable_cuda_graph": "1", "use_tf32": "0"}


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


@pytest.fixture(autouse=True)
def without_openvino(monkeypatch):
    """An installation without it, whatever there is."""
    monkeypatch.setitem(sys.modules, "openvino", None)


@pytest.fixture
def driver(monkeypatch):
    """A fake driver that has a device."""
    monkeypatch.setattr(providers, "cuda_device", lambda: None)


@pytest.fixture
def no_driver(monkeypatch):
    """A fake driver that has none, whatever the machine has."""

    def absent():
        raise DeviceError("no CUDA driver found")

    monkeypatch.setattr(providers, "cuda_device", absent)


@pytest.fixture
def fake(monkeypatch):
    return install(monkeypatch, FakeOnnxRuntime())


def install(monkeypatch, fake):
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    return fake


def noise(count):
    shape = (count, tiny.SIZE, tiny.SIZE, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("device", ["cuda", None])
def test_the_fake_gpu_is_taken_where_package_and_driver_have_it(model, driver, fake, device):
    with open_session(model, device=device) as session:
        assert session.runtime == f"ONNX Runtime {onnxruntime.__version__} CUDA, CUDA graphs"
        assert session.run(tiny.crops(7, 100)) == pytest.approx([7, 100])

    assert fake.events == ["preload_dlls", ([(CUDA, SETTINGS)], 0)]
    assert not fake.sessions[0].may_fall_back


def test_without_a_driver_the_choice_is_the_cpu(model, no_driver, fake):
    with OnnxRuntimeSession(model) as session:
        assert session.runtime.endswith(" CPU")

    assert fake.events == [([CPU], 0)]


def test_asking_for_the_cpu_asks_no_driver(model, monkeypatch, fake):
    monkeypatch.setattr(providers, "cuda_device", None)

    with open_session(model, runtime="onnxruntime", device="cpu") as session:
        assert session.run(tiny.crops(7)) == pytest.approx([7])

    assert fake.events == [([CPU], 0)]


def test_a_package_without_cuda_asks_no_driver(model, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])
    monkeypatch.setattr(providers, "cuda_device", None)

    with OnnxRuntimeSession(model) as session:
        assert session.runtime.endswith(" CPU")


def test_asking_for_cuda_without_a_driver_is_refused(model, no_driver, fake):
    with pytest.raises(DeviceError, match=r"'cuda': no CUDA driver found.* device cpu"):
        open_session(model, device="cuda")

    assert fake.events == []


@pytest.mark.parametrize("device", ["cuda", None])
def test_another_device_than_the_one_asked_for_is_refused(model, driver, monkeypatch, device):
    install(monkeypatch, FakeOnnxRuntime(runs=CPU))

    with pytest.raises(ConfigError) as caught:
        open_session(model, device=device)

    text = str(caught.value)
    assert f"tiny.onnx: {CUDA} was asked for, and ONNX Runtime {onnxruntime.__version__}" in text
    assert f"took {CPU}" in text
    assert "Install CUDA 13.0 and cuDNN, as pip install 'lifeiqa[gpu]'" in text
    assert "device cpu" in text


def test_the_library_that_does_not_load_is_named(model, driver, monkeypatch, tmp_path):
    fake = install(monkeypatch, FakeOnnxRuntime(runs=CPU))
    fake.__file__ = str(tmp_path / "onnxruntime" / "__init__.py")  # a folder without any library

    with pytest.raises(ConfigError, match=r"onnxruntime_providers_shared.*: cannot open shared"):
        open_session(model, device="cuda")


def test_a_model_that_cuda_refuses_is_not_run_on_the_cpu(model, driver, monkeypatch):
    refusal = RuntimeError("This session cannot use the graph capture feature")
    fake = install(monkeypatch, FakeOnnxRuntime(refusal=refusal))

    with pytest.raises(ConfigError, match=r"tiny\.onnx: .* with CUDA: This session cannot use"):
        open_session(model, device="cuda")

    assert fake.events[1:] == [([(CUDA, SETTINGS)], 0), ([CPU], 0)]


def test_a_model_that_cannot_run_is_called_so_on_a_fake_gpu_too(tmp_path, driver, monkeypatch):
    install(monkeypatch, FakeOnnxRuntime(refusal=RuntimeError("no such operator")))
    proto = tiny.model()
    proto.graph.node[0].op_type = "Uncast"
    path = tmp_path / "tiny.onnx"
    path.write_bytes(proto.SerializeToString())
    tiny.write_sidecar(path)

    with pytest.raises(ArtifactError, match=r"tiny\.onnx: ONNX Runtime cannot load it"):
        open_session(path, device="cuda")


def test_what_preloading_prints_does_not_reach_the_terminal(model, driver, fake, capfd):
    open_session(model, device="cuda").close()

    assert fake.events[0] == "preload_dlls"
    assert capfd.readouterr() == ("", "")


def test_what_the_fake_gpu_logs_does_not_reach_the_terminal(model, driver, fake, capfd):
    with open_session(model, device="cuda") as session:
        session.run(tiny.crops(1))

    assert capfd.readouterr() == ("", "")


def test_the_logger_of_the_process_is_silent_when_told(model):
    """ONNX Runtime's own: at level 0 it writes much, at the level of `providers._silence` nothing.

    In a process of its own, since the level holds for a process and cannot be read.
    """
    code = """if True:
        import sys
        import onnxruntime
        from lifeiqa.runtimes.onnxruntime.providers import _silence

        onnxruntime.set_default_logger_severity(0)
        if sys.argv[2] == "silent":
            _silence(onnxruntime)
        print("begun", file=sys.stderr, flush=True)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    """
    said = {}
    for level in ("loud", "silent"):
        command = [sys.executable, "-c", code, str(model), level]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        said[level] = done.stderr.partition("begun\n")[2]

    assert ":onnxruntime:Default" in said["loud"]
    assert said["silent"] == ""


def test_a_package_that_cannot_preload_is_used_as_it_is(model, driver, fake):
    fake.preload_dlls = None

    with open_session(model, device="cuda") as session:
        assert session.run(tiny.crops(7)) == pytest.approx([7])


@pytest.mark.parametrize("count", [1, 3, 40])
def test_scores_come_through_buffers_on_the_fake_gpu(model, driver, fake, count):
    crops = noise(count)
    with open_session(model, runtime="onnxruntime", device="cpu") as session:
        expected = session.run(crops)

    with open_session(model, device="cuda") as session:
        np.testing.assert_array_equal(session.run(crops), expected)
        np.testing.assert_array_equal(session.run(crops[:, ::-1]), session.run(crops[:, ::-1]))

    assert {device for _, device, _ in fake.devices} == {"cuda"}
    assert fake.sessions[-1].graph_ids == {1: ["1"] * 3, 3: ["4"] * 3, 40: ["32", "8"] * 3}[count]


def test_a_static_graph_has_buffers_of_its_one_size(tmp_path, driver, fake):
    path = tiny.write_model(tmp_path / "tiny.onnx", batch=4)

    with open_session(path, device="cuda") as session:
        assert session.run(tiny.crops(1, 2, 3, 4, 5, 6)) == pytest.approx([1, 2, 3, 4, 5, 6])

    assert [shape for shape, _, _ in fake.devices] == [(4, tiny.SIZE, tiny.SIZE, 3), (4,)]
    assert fake.sessions[0].graph_ids == ["4", "4"]


def test_half_precision_on_the_fake_gpu_has_no_note_of_the_cpu(tmp_path, driver, fake):
    path = tiny.write_model(tmp_path / "tiny.fp16.onnx", precision="fp16")

    with open_session(path) as session:
        assert session.runtime.endswith(" CUDA, CUDA graphs")


def test_wrong_crops_are_refused_before_the_fake_gpu(model, driver, fake):
    with open_session(model) as session:
        with pytest.raises(ConfigError, match="the batch is empty"):
            session.run(tiny.crops(1)[:0])
        with pytest.raises(ConfigError, match=r"float32 \(1, 32, 32, 3\)"):
            session.run(tiny.crops(1).astype(np.float32))

    assert fake.devices == []


def test_a_run_that_fails_on_the_fake_gpu_is_an_error_of_the_device(model, driver, fake):
    with open_session(model) as session:
        fake.sessions[0].failure = RuntimeError("CUDA failure 2: out of memory")
        with pytest.raises(DeviceError, match=r"tiny\.onnx: .*out of memory.*small --batch"):
            session.run(tiny.crops(1))


def test_a_closed_session_of_the_fake_gpu_is_refused(model, driver, fake):
    session = open_session(model)
    session.run(tiny.crops(1))
    session.close()
    session.close()

    with pytest.raises(ConfigError, match="the session is closed"):
        session.run(tiny.crops(1))


def test_a_trace_is_a_plain_run_without_a_graph_on_the_same_fake_gpu(tmp_path, driver, fake):
    path = tiny.write_router(tmp_path / "tiny.onnx")
    crops = tiny.crops(10, 20, 30)

    with open_session(path, device="cuda") as session:
        _, trace = session.run_traced(crops)
        assert session.run(crops) == pytest.approx([10, 20, 30])

    np.testing.assert_array_equal(trace.inputs, [10, 20, 30])
    np.testing.assert_array_equal(trace.logits, [20, 40, 60])
    assert fake.events.count("preload_dlls") == 1
    assert fake.events[2:] == [([(CUDA, {**SETTINGS, "enable_cuda_graph": "0"})], 0)]
    assert fake.sessions[1].graph_ids == []
