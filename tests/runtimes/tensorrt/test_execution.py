"""Engines that run, against fakes of the CUDA runtime and of TensorRT throughout."""

import threading

import numpy as np
import pytest

from helpers import strangers, tiny
from helpers.fake_tensorrt import GPU, VERSION
from lifeiqa import open_session
from lifeiqa.errors import (
    ArtifactError,
    ConfigError,
    DeviceError,
)
from lifeiqa.runtimes.tensorrt.session import TensorRTSession

GREYS = (10, 250, 30, 77, 128, 5, 200, 90, 61, 255, 0)


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
    session = machine.open(4, runtime="tensorrt-rtx")
    np.testing.assert_array_equal(session.run(tiny.crops(*GREYS)), GREYS)

    (config,) = machine.trt.strategies
    assert config.cuda_graph_strategy.name == "WHOLE_GRAPH_CAPTURE"
    assert machine.cuda.count("cudaStreamBeginCapture") == 0


def test_tensorrt_rtx_runs_plain_on_request(machine):
    machine.open(4, runtime="tensorrt-rtx", cuda_graph=False).run(tiny.crops(1))

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


def test_a_stripped_engine_whose_parent_points_elsewhere_is_refused(machine):
    path = machine.engine(stripped=True)
    parent = path.with_name("tiny.onnx")
    parent.write_bytes(strangers.outside(tiny.model(), "weights.bin").SerializeToString())
    path.with_name("weights.bin").write_bytes(strangers.GAIN)
    link_to(path, parent)

    with pytest.raises(ArtifactError, match=r"uses external data: weights\.bin"):
        open_session(path)


def link_to(path, parent):
    from helpers.fake_tensorrt import info
    from lifeiqa.artifacts.manifest import Parent
    from lifeiqa.files import sha256_of

    parents = (Parent(file=parent.name, sha256=sha256_of(parent)),)
    tiny.write_sidecar(path, kind="engine", engine=info(stripped=True), parents=parents)
