"""The TensorRT session: its checks for real, its execution against fakes of CUDA and TensorRT."""

import contextlib
import subprocess
import sys
import threading

import numpy as np
import pytest

import tiny
from fake_tensorrt import GPU, VERSION, write_engine
from lifeiqa import open_session
from lifeiqa.errors import (
    ArtifactError,
    ConfigError,
    DeviceError,
    EngineMismatchError,
    MissingDependencyError,
)
from lifeiqa.manifest import sidecar_of
from lifeiqa.sessions import tensorrt as session_module
from lifeiqa.sessions.driver import Device, cuda_device
from lifeiqa.sessions.tensorrt import TensorRTSession

GREYS = (10, 250, 30, 77, 128, 5, 200, 90, 61, 255, 0)
HOPPER = Device(index=0, name="Fake H200", compute_capability="9.0", driver="580.65.06")


def flip(path, position):
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


# The checks. Nothing of them is faked but the version and the chip that they meet.


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

    with pytest.raises(ArtifactError, match="its manifest describes no engine: onnx"):
        open_session(path)


def test_another_version_is_refused_with_the_command_that_mends_it(machine):
    path = machine.engine(version="11.2.1.2")

    with pytest.raises(EngineMismatchError) as caught:
        open_session(path)

    assert str(caught.value) == (
        f"built by TensorRT 11.2.1.2, this is {VERSION}. "
        f"Rebuild: lifeiqa-engine build MODEL.onnx --flavour tensorrt"
    )
    assert machine.trt.loads == 0


def test_another_chip_is_refused_with_the_command_that_mends_it(machine):
    path = machine.engine()
    machine.put_in(HOPPER)

    with pytest.raises(EngineMismatchError) as caught:
        open_session(path)

    assert str(caught.value) == (
        "built for SM89, this is SM90 (Fake H200). "
        "Rebuild: lifeiqa-engine build MODEL.onnx --flavour tensorrt"
    )
    assert machine.trt.loads == 0


def test_the_command_for_an_engine_built_ahead_names_the_chip_that_is_here(machine):
    path = machine.engine(flavour="tensorrt-rtx")
    machine.put_in(HOPPER)

    with pytest.raises(EngineMismatchError, match=r"--flavour tensorrt-rtx --target sm90$"):
        open_session(path)


@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt-rtx"])
def test_without_its_tensorrt_the_extra_is_named(machine, monkeypatch, flavour):
    path = machine.engine(flavour=flavour)
    monkeypatch.setitem(sys.modules, flavour.replace("-", "_"), None)

    with pytest.raises(MissingDependencyError, match=rf"pip install 'lifeiqa\[{flavour}\]'"):
        open_session(path)


def test_without_cuda_bindings_the_extra_is_named(machine, monkeypatch):
    path = machine.engine()
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)

    with pytest.raises(MissingDependencyError, match=r"'cuda'.* pip install 'lifeiqa\[tensorrt\]'"):
        open_session(path)


def test_a_cpu_is_refused(machine):
    with pytest.raises(ConfigError, match=r"provider is 'cpu', and tiny\.fp16\.engine runs on"):
        open_session(machine.engine(), provider="cpu")


def test_without_a_driver_the_process_lives_and_says_so(tmp_path):
    """The real TensorRT-RTX and the real driver check: without it this is a segmentation fault."""
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    with contextlib.suppress(DeviceError):
        pytest.skip(f"this machine has a CUDA driver: {cuda_device()}")
    path = write_engine(tmp_path / "m.engine", flavour="tensorrt-rtx", version=trt.__version__)
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
    assert done.stdout.startswith("there is no CUDA driver here (libcuda.so.1: ")


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


# Execution, against fakes of the CUDA runtime and of TensorRT throughout.


def test_scores_come_in_order_whatever_the_number_of_crops(machine):
    session = machine.open(1, 4)

    for count in range(1, len(GREYS) + 1):
        np.testing.assert_array_equal(session.run(tiny.crops(*GREYS[:count])), GREYS[:count])


def test_a_result_owns_its_memory(machine):
    session = machine.open(2)
    first = session.run(tiny.crops(1, 2))
    session.run(tiny.crops(3, 4))

    np.testing.assert_array_equal(first, [1, 2])
    assert first.dtype == np.float32
    assert first.base is None


def test_crops_of_any_layout_are_taken(machine):
    crops = tiny.crops(*GREYS)[::-2]

    np.testing.assert_array_equal(machine.open(4).run(crops), GREYS[::-2])


def test_a_batch_size_is_prepared_once_and_its_graph_replayed(machine):
    session = machine.open(4)
    for _ in range(5):
        session.run(tiny.crops(1, 2, 3))

    calls = machine.cuda
    assert calls.count("cudaMalloc") == calls.count("cudaMallocHost") == 2
    assert calls.count("cudaGraphInstantiate") == 1
    assert calls.count("cudaGraphLaunch") == 5
    assert len(machine.trt.contexts) == 1


def test_a_graph_is_captured_after_a_warm_up_and_holds_both_copies(machine):
    session = machine.open(4)
    session.run(tiny.crops(1))

    order = [name for name in machine.cuda.calls if name.startswith(("cudaM", "cudaG", "cudaS"))]
    assert order[order.index("cudaMallocHost") :][:13] == [
        *("cudaMallocHost", "cudaMallocHost", "cudaMalloc", "cudaMalloc"),
        *("cudaMemcpyAsync", "cudaMemcpyAsync", "cudaStreamSynchronize"),
        *("cudaStreamBeginCapture", "cudaMemcpyAsync", "cudaMemcpyAsync", "cudaStreamEndCapture"),
        *("cudaGraphInstantiate", "cudaGraphLaunch"),
    ]


def test_a_run_with_a_graph_equals_one_without(machine):
    with_graph = machine.open(1, 4).run(tiny.crops(*GREYS))
    session = machine.open(1, 4, cuda_graph=False)

    np.testing.assert_array_equal(session.run(tiny.crops(*GREYS)), with_graph)
    assert "CUDA graph" not in session.runtime


def test_tensorrt_rtx_captures_by_itself(machine):
    session = machine.open(4, flavour="tensorrt-rtx")
    np.testing.assert_array_equal(session.run(tiny.crops(*GREYS)), GREYS)

    (config,) = machine.trt.strategies
    assert config.cuda_graph_strategy.name == "WHOLE_GRAPH_CAPTURE"
    assert machine.cuda.count("cudaStreamBeginCapture") == 0


def test_tensorrt_rtx_runs_plain_on_request(machine):
    machine.open(4, flavour="tensorrt-rtx", cuda_graph=False).run(tiny.crops(1))

    assert machine.trt.strategies[0].cuda_graph_strategy.name == "DISABLED"


@pytest.mark.parametrize(
    ("batches", "count", "sizes"),
    [
        ((8,), 20, [8, 8, 8]),
        ((1, 8, 32), 1, [1]),
        ((1, 8, 32), 5, [8]),
        ((1, 8, 32), 33, [32, 1]),
        (("1:8:32",), 3, [4]),
        (("1:8:32",), 17, [32]),
        (("3:5:6",), 1, [3]),
        (("3:5:6",), 10, [6, 4]),
        ((1, "2:4:8"), 9, [8, 1]),
    ],
)
def test_a_run_uses_these_batch_sizes(machine, batches, count, sizes):
    session = machine.open(*batches)
    session.run(tiny.crops(*range(count)))

    assert sorted(context.shape[0] for context in machine.trt.contexts) == sorted(set(sizes))
    replays = sum(context.executions - 1 for context in machine.trt.contexts)
    assert replays == len(sizes)


def test_a_closed_session_gives_everything_back_and_runs_no_more(machine):
    session = machine.open(1, 4)
    session.run(tiny.crops(*GREYS))
    session.close()
    session.close()

    assert machine.cuda.owned() == []
    with pytest.raises(ConfigError, match="the session is closed"):
        session.run(tiny.crops(1))
    with pytest.raises(ConfigError, match="the session is closed"):
        session.run_device(1, count=1, stream=0)


def test_whatever_call_fails_nothing_stays_allocated(machine):
    """The n-th call of CUDA fails, for every n of a session with two batch sizes."""
    path = machine.engine(1, 4)
    with TensorRTSession(path) as session:
        session.run(tiny.crops(*GREYS))
    needed = list(machine.cuda.calls)

    for number, name in enumerate(needed, 1):
        machine.cuda.calls.clear()
        machine.cuda.fail_at = number
        opened = []
        refusal = pytest.raises(DeviceError, match=f"{name}: cudaErrorMemoryAllocation, what")
        with refusal, TensorRTSession(path) as session:
            opened.append(session)
            session.run(tiny.crops(*GREYS))
        machine.cuda.fail_at = None
        for session in opened:
            session.close()  # again: the failure may have been in the first
        assert machine.cuda.capturing is None
        # What refuses to be freed cannot be freed; everything else is.
        stuck = int("Free" in name or "Destroy" in name)
        assert len(machine.cuda.owned()) == stuck, f"call {number}, {name}"
        machine.cuda.live.clear()


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("set_optimization_profile_async", "profile"),
        ("set_input_shape", r"shape \(4, 32, 32, 3\)"),
        ("set_tensor_address", "address of crops"),
        ("execute_async_v3", "execution"),
    ],
)
def test_what_tensorrt_refuses_is_an_error_with_its_reason(machine, call, what):
    session = machine.open(4)
    machine.trt.refuse = call

    with pytest.raises(DeviceError, match=f"TensorRT refused the {what}: {call} cannot be"):
        session.run(tiny.crops(1))

    assert machine.cuda.owned() == ["stream"]


def test_the_device_of_the_thread_is_as_it_was(machine):
    session = machine.open(4, device=2)
    machine.cuda.device = 1
    session.run(tiny.crops(1))

    assert machine.cuda.device == 1


def test_two_sessions_do_not_disturb_each_other(machine):
    one, other = machine.open(4), machine.open(4)

    np.testing.assert_array_equal(one.run(tiny.crops(1, 2)), [1, 2])
    one.close()
    np.testing.assert_array_equal(other.run(tiny.crops(3, 4)), [3, 4])


def test_threads_take_turns(machine):
    session = machine.open(1, 4)
    seen = {}

    def work(grey):
        runs = [session.run(tiny.crops(*[grey] * 5)) for _ in range(30)]
        seen[grey] = set(np.concatenate(runs).tolist())

    threads = [threading.Thread(target=work, args=(grey,)) for grey in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {grey: {grey} for grey in range(6)}


def test_the_runtime_is_named_for_reports(machine):
    assert machine.open().runtime == f"TensorRT {VERSION} {GPU.name} (sm89), CUDA graph"


def test_a_stripped_engine_takes_its_weights_from_its_parent(machine):
    path = machine.engine(stripped=True)
    parent = tiny.write_model(path.with_name("tiny.onnx"))
    link_to(path, parent)

    TensorRTSession(path).close()

    assert machine.trt.refitted_from == str(parent)


def test_a_stripped_engine_without_its_parent_is_refused(machine):
    path = machine.engine(stripped=True)
    parent = tiny.write_model(path.with_name("tiny.onnx"))
    link_to(path, parent)
    parent.write_bytes(b"another")

    with pytest.raises(ArtifactError, match=r"takes them from tiny\.onnx \(sha256 "):
        open_session(path)


def link_to(path, parent):
    from fake_tensorrt import info
    from lifeiqa.files import sha256_of
    from lifeiqa.manifest import Parent

    parents = (Parent(file=parent.name, sha256=sha256_of(parent)),)
    tiny.write_sidecar(path, kind="engine", engine=info(stripped=True), parents=parents)
