"""The layer over `cuda.bindings.runtime`, against the real package on a machine without a driver.

Its functions then convert their arguments and answer with an error: enough to see that each call
exists, takes what it is given, and that its answer becomes an exception.
"""

import pytest

from lifeiqa.errors import DeviceError
from lifeiqa.runtimes.cuda.api import Cuda
from lifeiqa.runtimes.cuda.driver import cuda_device

pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")

CALLS = {
    "device_memory": lambda cuda: cuda.device_memory(64).__enter__(),
    "pinned_memory": lambda cuda: cuda.pinned_memory(64).__enter__(),
    "stream": lambda cuda: cuda.stream().__enter__(),
    "event": lambda cuda: cuda.event().__enter__(),
    "milliseconds": lambda cuda: cuda.milliseconds(9, 10),
    "captured": lambda cuda: cuda.captured(7, lambda: None).__enter__(),
    "allocate": lambda cuda: cuda.allocate(64, 7),
    "free_in": lambda cuda: cuda.free_in(7, 4096),
    "free": lambda cuda: cuda.free(4096),
    "copy": lambda cuda: cuda.copy(4096, 8192, 64, 7),
    "synchronize": lambda cuda: cuda.synchronize(7),
    "synchronize_device": lambda cuda: cuda.synchronize_device(),
    "record": lambda cuda: cuda.record(9, 7),
    "wait_in": lambda cuda: cuda.wait_in(7, 9),
    "wait_for": lambda cuda: cuda.wait_for(9),
    "current": lambda cuda: cuda.current().__enter__(),
    "launch": lambda cuda: cuda.launch(cuda._api.cudaGraphExec_t(11), 7),
}


@pytest.mark.parametrize("call", CALLS)
def test_without_a_driver_each_call_says_which_one_failed_and_why(call):
    try:
        cuda_device()
    except DeviceError:
        pass
    else:
        pytest.skip("this machine has a CUDA driver, and would follow these wild pointers")

    with pytest.raises(DeviceError) as caught:
        CALLS[call](Cuda(0, extra="tensorrt"))

    name, _, reason = str(caught.value).partition(": ")
    assert name.startswith("cuda")
    assert reason == (
        "cudaErrorInsufficientDriver, CUDA driver version is insufficient for CUDA runtime version"
    )


def test_every_call_is_covered():
    public = {name for name in vars(Cuda) if not name.startswith("_")}

    assert public == set(CALLS)
