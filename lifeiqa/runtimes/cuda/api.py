"""The part of the CUDA runtime that an engine needs: memory, streams, events and graphs.

A thin layer over NVIDIA's `cuda.bindings.runtime`: calls raise instead of returning a status, and
what must be released is a context manager. Pointers and handles are plain integers, so that they
can be those of torch, CuPy or pycuda as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lifeiqa.errors import DeviceError, require


class Cuda:
    """The CUDA runtime on one device.

    Args:
        device: its number.
        extra: the extra of lifeiqa that brings ``cuda-bindings``, for the error without it.

    Raises:
        MissingDependencyError: ``cuda-bindings`` is not installed.
    """

    def __init__(self, device: int, *, extra: str) -> None:
        self.device = device
        self._api: Any = require("cuda.bindings.runtime", extra=extra, purpose="running an engine")

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the device the thread's current one for a block, and restore the previous one."""
        before = self._call("cudaGetDevice")
        if before != self.device:
            self._call("cudaSetDevice", self.device)
        try:
            yield
        finally:
            if before != self.device:
                self._call("cudaSetDevice", before)

    @contextmanager
    def device_memory(self, size: int) -> Iterator[int]:
        """A pointer to ``size`` bytes on the device."""
        pointer = self._call("cudaMalloc", size)
        try:
            yield int(pointer)
        finally:
            self._call("cudaFree", pointer)

    @contextmanager
    def pinned_memory(self, size: int) -> Iterator[int]:
        """A pointer to ``size`` bytes of page-locked memory of the host, for copies in a stream."""
        pointer = self._call("cudaMallocHost", size)
        try:
            yield int(pointer)
        finally:
            self._call("cudaFreeHost", pointer)

    @contextmanager
    def stream(self) -> Iterator[int]:
        """A stream of its own, which does not wait for the default stream."""
        stream = self._call("cudaStreamCreateWithFlags", self._api.cudaStreamNonBlocking)
        try:
            yield int(stream)
        finally:
            self._call("cudaStreamDestroy", stream)

    @contextmanager
    def event(self, *, timed: bool = False) -> Iterator[int]:
        """An event that orders streams; with ``timed`` it also records a timestamp."""
        flags = self._api.cudaEventDefault if timed else self._api.cudaEventDisableTiming
        event = self._call("cudaEventCreateWithFlags", flags)
        try:
            yield int(event)
        finally:
            self._call("cudaEventDestroy", event)

    @contextmanager
    def captured(self, stream: int, enqueue: Any) -> Iterator[Any]:
        """A graph of what ``enqueue()`` puts into a stream, ready for `launch`.

        Only calls of this thread are captured, so that other threads may allocate meanwhile.
        """
        mode = self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)
        try:
            enqueue()
        except BaseException:
            # The stream stays unusable until its capture ends. The error to report is the one that
            # is being raised, so the status of these two calls is ignored.
            _, graph = self._api.cudaStreamEndCapture(stream)
            if graph is not None and int(graph) != 0:
                self._api.cudaGraphDestroy(graph)
            raise
        graph = self._call("cudaStreamEndCapture", stream)
        try:
            executable = self._call("cudaGraphInstantiate", graph, 0)
            try:
                yield executable
            finally:
                self._call("cudaGraphExecDestroy", executable)
        finally:
            self._call("cudaGraphDestroy", graph)

    def allocate(self, size: int, stream: int) -> int:
        """Device memory for what follows in a stream."""
        return int(self._call("cudaMallocAsync", size, stream))

    def free_in(self, stream: int, pointer: int) -> None:
        """Free memory of `allocate` after what is in a stream now."""
        self._call("cudaFreeAsync", pointer, stream)

    def free(self, pointer: int) -> None:
        """Free memory of `allocate` at once. Nothing on the device may use it any more."""
        self._call("cudaFree", pointer)

    def copy(self, target: int, source: int, size: int, stream: int) -> None:
        """Copy bytes in a stream; the pointers may be of the host or the device."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyDefault
        self._call("cudaMemcpyAsync", target, source, size, kind, stream)

    def launch(self, executable: Any, stream: int) -> None:
        """Run a captured graph in a stream."""
        self._call("cudaGraphLaunch", executable, stream)

    def synchronize(self, stream: int) -> None:
        """Wait until a stream is empty."""
        self._call("cudaStreamSynchronize", stream)

    def synchronize_device(self) -> None:
        """Wait until all streams of the device are empty."""
        self._call("cudaDeviceSynchronize")

    def record(self, event: int, stream: int) -> None:
        """Record an event after what is in a stream now."""
        self._call("cudaEventRecord", event, stream)

    def wait_in(self, stream: int, event: int) -> None:
        """Make what follows in a stream wait for an event."""
        self._call("cudaStreamWaitEvent", stream, event, 0)

    def wait_for(self, event: int) -> None:
        """Wait until an event has completed."""
        self._call("cudaEventSynchronize", event)

    def milliseconds(self, begun: int, ended: int) -> float:
        """The time between two timed events that have completed."""
        return float(self._call("cudaEventElapsedTime", begun, ended))

    def _call(self, name: str, *arguments: Any) -> Any:
        status, *values = getattr(self._api, name)(*arguments)
        if status != self._api.cudaError_t.cudaSuccess:
            _, text = self._api.cudaGetErrorString(status)
            raise DeviceError(f"{name}: {status.name}, {text.decode()}")
        return values[0] if values else None
