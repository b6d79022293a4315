"""One execution of an engine: buffers, a context, and the CUDA graph of both.

`HostBatch` runs crops of the host in its own buffers. `DeviceBatch` runs crops that are already on
the device, in place, in the caller's stream.
"""

from __future__ import annotations

import ctypes
import weakref
from contextlib import ExitStack
from typing import Any, Protocol

import numpy as np

from lifeiqa.errors import DeviceError
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes.base import INPUT, OUTPUT, Array, Closeable, Scores
from lifeiqa.runtimes.cuda.api import Cuda
from lifeiqa.runtimes.cuda.results import ResultMemory
from lifeiqa.runtimes.tensorrt.error_log import ErrorLog

_SCORE = np.dtype(np.float32).itemsize


class Context(Protocol):
    """The part of TensorRT's `IExecutionContext` that is used here."""

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool: ...
    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool: ...
    def set_tensor_address(self, name: str, pointer: int) -> bool: ...
    def execute_async_v3(self, stream: int) -> bool: ...


class Executor:
    """A context that raises where TensorRT refuses a call.

    Args:
        context: a new context of the engine, used only here.
        errors: of the engine; they say why a call was refused.
    """

    def __init__(self, context: Context, errors: ErrorLog) -> None:
        self._context = context
        self._errors = errors

    def take_profile(self, profile: int, stream: int) -> None:
        """Choose an optimization profile by its number."""
        self._must(self._context.set_optimization_profile_async(profile, stream), "profile")

    def take_shape(self, shape: tuple[int, ...]) -> None:
        """State the shape of the crops, ``(N, S, S, 3)``."""
        self._must(self._context.set_input_shape(INPUT, shape), f"shape {shape}")

    def bind(self, crops: int, scores: int) -> None:
        """State where crops and scores are on the device."""
        for name, pointer in ((INPUT, crops), (OUTPUT, scores)):
            self._must(self._context.set_tensor_address(name, pointer), f"address of {name}")

    def enqueue(self, stream: int) -> None:
        """Put one execution into a stream."""
        self._must(self._context.execute_async_v3(stream), "execution")

    def _must(self, done: bool, what: str) -> None:
        if not done:
            raise DeviceError(f"TensorRT refused the {what}: {self._errors.take()}")


class HostBatch(Closeable):
    """One batch size with buffers of its own: pinned on the host, and on the device.

    The first run is a warm-up. After it the copy to the device, the execution and the copy back
    are captured as one CUDA graph, and each run replays it.

    Args:
        cuda: of the device.
        executor: of the engine.
        stream: of the session; not the default stream, which cannot be captured.
        profile: number of the optimization profile that holds the batch size.
        shape: ``(B, S, S, 3)``.
        capture: make a CUDA graph; otherwise every run enqueues the three parts again.

    Raises:
        DeviceError: out of memory, or TensorRT or the capture failed. Nothing stays allocated.
    """

    def __init__(
        self,
        cuda: Cuda,
        executor: Executor,
        *,
        stream: int,
        profile: int,
        shape: tuple[int, int, int, int],
        capture: bool,
    ) -> None:
        self._cuda, self._executor, self._stream = cuda, executor, stream
        batch, size = shape[0], int(np.prod(shape))
        with ExitStack() as owned:
            pinned_crops = owned.enter_context(cuda.pinned_memory(size))
            pinned_scores = owned.enter_context(cuda.pinned_memory(batch * _SCORE))
            crops = owned.enter_context(cuda.device_memory(size))
            scores = owned.enter_context(cuda.device_memory(batch * _SCORE))
            self._copies = ((crops, pinned_crops, size), (pinned_scores, scores, batch * _SCORE))
            self._crops = _view(pinned_crops, ctypes.c_uint8, size).reshape(shape)
            self._scores = _view(pinned_scores, ctypes.c_float, batch)
            self._crops[:] = 0
            executor.take_profile(profile, stream)
            executor.take_shape(shape)
            executor.bind(crops, scores)
            self._enqueue()
            cuda.synchronize(stream)
            self._graph = None
            if capture:
                self._graph = owned.enter_context(cuda.captured(stream, self._enqueue))
            self._owned = owned.pop_all()

    def run(self, crops: Pixels) -> Scores:
        """Score at most as many crops as the batch holds; the result has its own memory."""
        count = len(crops)
        self._crops[:count] = crops
        self._crops[count:] = crops[:1]  # their scores are dropped
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda.launch(self._graph, self._stream)
        self._cuda.synchronize(self._stream)
        return self._scores[:count].copy()

    def close(self) -> None:
        """Release buffers and graph."""
        self._owned.close()

    def _enqueue(self) -> None:
        to_device, to_host = self._copies
        self._cuda.copy(*to_device, self._stream)
        self._executor.enqueue(self._stream)
        self._cuda.copy(*to_host, self._stream)


class DeviceScores:
    """Scores on the device, float32 ``(N,)``, readable by torch, CuPy, Numba and pycuda.

    They are ready for what follows in the stream that computes them; readers in other streams must
    wait for that stream first. The memory is released with the object, and freed after what is in
    that stream by then.
    """

    def __init__(self, memory: ResultMemory, count: int, stream: int) -> None:
        self.pointer = memory.allocate(count * _SCORE, stream)
        self.count = count
        self.stream = stream
        self._free = weakref.finalize(self, memory.give_back, self.pointer, stream)
        self._free.atexit = False  # the end of the process frees it

    def __len__(self) -> int:
        return self.count

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": (self.count,),
            "typestr": "<f4",
            "data": (self.pointer, False),
            "strides": None,
            "version": 3,
            "stream": self.stream or 1,  # the protocol writes the default stream as 1
        }

    def free(self) -> None:
        """Release the memory now. What is already in the stream may still use it."""
        self._free()


class DeviceBatch(Closeable):
    """Crops in place on the device, in the stream that made them: no copy, no graph.

    Args:
        cuda: of the device.
        executor: of the engine.
        stream: of the session, for the choice of the profile.
        profile: number of the optimization profile.

    Raises:
        DeviceError: TensorRT refused the profile.
    """

    def __init__(self, cuda: Cuda, executor: Executor, *, stream: int, profile: int) -> None:
        self._cuda, self._executor = cuda, executor
        with ExitStack() as owned:
            self._done = owned.enter_context(cuda.event())
            owned.callback(cuda.wait_for, self._done)
            executor.take_profile(profile, stream)
            cuda.synchronize(stream)
            self._owned = owned.pop_all()

    def enqueue(
        self, crops: int, scores: int, *, shape: tuple[int, int, int, int], stream: int
    ) -> None:
        """Put one execution into a stream and return at once.

        Args:
            crops: pointer to uint8 ``shape`` on the device.
            scores: pointer to float32 ``(N,)`` on the device.
            shape: ``(N, S, S, 3)``, N within the profile.
            stream: handle; what comes before in it makes the crops.
        """
        # The context has one working memory: an execution in another stream must have ended.
        self._cuda.wait_in(stream, self._done)
        self._executor.take_shape(shape)
        self._executor.bind(crops, scores)
        self._executor.enqueue(stream)
        self._cuda.record(self._done, stream)

    def close(self) -> None:
        """Wait for the last execution, then release the event."""
        self._owned.close()


def _view(pointer: int, kind: Any, count: int) -> Array:
    """Memory of the host as an array that does not own it."""
    return np.ctypeslib.as_array((kind * count).from_address(pointer))
