"""Time on the GPU, against fakes of CUDA and TensorRT whose clock counts what was enqueued."""

import numpy as np
import pytest

from helpers import tiny
from lifeiqa.errors import DeviceError
from lifeiqa.runtimes import open_session
from lifeiqa_benchmarks.candidate import candidates_from
from lifeiqa_benchmarks.device import device_times


def test_each_run_of_an_engine_on_a_fake_gpu_is_between_two_events(machine):
    session = machine.open(4)
    times = device_times(session, tiny.crops(10, 20, 30, 40), runs=5)

    # A run waits in the stream for the one before, executes, and leaves a mark; then comes the
    # timed event. No copy is among them, and the host waits for nothing.
    assert times == [4.0] * 5
    assert machine.cuda.count("cudaMemcpyAsync") == 1
    assert sum(context.executions for context in machine.trt.contexts) == 3 + 5
    assert machine.cuda.count("cudaEventSynchronize") == 0


def test_nothing_is_left_on_a_fake_gpu_when_a_run_fails(machine):
    session = machine.open(4)
    owned = machine.cuda.owned()
    machine.trt.refuse = "execute_async_v3"

    with pytest.raises(DeviceError, match="TensorRT refused the execution"):
        device_times(session, tiny.crops(1, 2, 3, 4), runs=2)
    session.close()

    assert len(machine.cuda.owned()) <= len(owned)


def test_a_session_on_a_cpu_has_no_device_times(tmp_path):
    with open_session(
        tiny.write_model(tmp_path / "tiny.onnx"), runtime="onnxruntime", device="cpu"
    ) as session:
        assert device_times(session, np.asarray(tiny.crops(1)), runs=2) == []


def test_on_cuda_openvino_has_no_part():
    found = candidates_from(["fast"], "pytorch", "cuda")

    assert [each.name for each in found] == [
        "PyTorch eager on CUDA, fast.safetensors",
        "torch.compile on CUDA, fast.safetensors",
        "ONNX Runtime on CUDA, fast.fp32.onnx",
    ]
