"""A fake of `cuda.bindings.runtime` in the memory of the host, strict about order and ownership.

Pointers are real addresses, copies really move bytes, and a stream that is being captured keeps
its work until the graph is launched. Whatever the real runtime would refuse or leave undefined is
refused here: unknown pointers, work in a destroyed stream, waiting or allocating while capturing.

Work is done at once, as on a device that is always faster than the host. With ``busy`` it waits
until somebody waits for it, as on a device that is always slower; memory that is freed before the
work that uses it is then found.
"""

# ruff: noqa: N801, N802, N815  (the names are those of the real module)

import ctypes
import enum
import itertools


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInvalidResourceHandle = 400
    cudaErrorStreamCaptureUnsupported = 900


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyDefault = 4


class cudaStreamCaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


OK = cudaError_t.cudaSuccess


class FakeCuda:
    """Looks like the module: ``calls`` are names of functions, ``live`` is what was not freed.

    ``busy`` keeps work back; ``pending`` is what was kept, in the order in which it was enqueued.
    """

    cudaError_t, cudaMemcpyKind = cudaError_t, cudaMemcpyKind
    cudaStreamCaptureMode = cudaStreamCaptureMode
    cudaStreamNonBlocking, cudaEventDefault, cudaEventDisableTiming = 1, 0, 2

    def __init__(self):
        self.calls = []
        self.live = {}
        self.fail_at = None  # number of the call that fails
        self.device = 0
        self.capturing = None  # (stream, operations)
        self.graphs = {}
        self.waits = []
        self.busy = False
        self.pending = []
        self.stamps = {}  # timed event -> operations that were enqueued before it
        self.enqueued = 0
        self._handles = itertools.count(1000)

    def __getattr__(self, name):
        if not name.startswith("cuda"):
            raise AttributeError(name)
        action = getattr(type(self), "_" + name)

        def call(*arguments):
            self.calls.append(name)
            if self.fail_at == len(self.calls):
                if name == "cudaStreamEndCapture":
                    self.capturing = None
                return (cudaError_t.cudaErrorMemoryAllocation, None)
            result = action(self, *arguments)
            return result if isinstance(result, tuple) else (result,)

        return call

    def count(self, name):
        return self.calls.count(name)

    def enqueue(self, stream, operation):
        """Run an operation now or, if the device is busy, later; or keep it for a graph."""
        if self.live.get(stream) not in ("stream", "caller's stream"):
            return cudaError_t.cudaErrorInvalidResourceHandle
        self.enqueued += 1
        if self.capturing is not None and self.capturing[0] == stream:
            self.capturing[1].append(operation)
        else:
            self.pending.append(operation)
            if not self.busy:
                self.work_off()
        return OK

    def work_off(self):
        """Do what was kept back."""
        while self.pending:
            self.pending.pop(0)()

    def holds(self, pointer, size):
        """Whether bytes lie in one live allocation."""
        return any(
            start <= pointer and pointer + size <= start + what[1]
            for start, what in self.live.items()
            if isinstance(what, tuple)
        )

    def callers_stream(self):
        """A stream that somebody else made."""
        return self._new("caller's stream")

    def upload(self, array):
        """Somebody else's array on the device; its address."""
        pointer = self._allocate("caller's memory", array.nbytes)[1]
        ctypes.memmove(pointer, array.ctypes.data, array.nbytes)
        return pointer

    def owned(self):
        """What was allocated by the code under test and not given back."""
        kinds = [what[0] if isinstance(what, tuple) else what for what in self.live.values()]
        return sorted(kind for kind in kinds if not kind.startswith("caller's"))

    def _new(self, what):
        handle = next(self._handles)
        self.live[handle] = what
        return handle

    def _allocate(self, kind, size):
        if self.capturing is not None:
            return cudaError_t.cudaErrorStreamCaptureUnsupported, None
        buffer = (ctypes.c_uint8 * size)()
        self.live[ctypes.addressof(buffer)] = (kind, size, buffer)
        return OK, ctypes.addressof(buffer)

    def _release(self, handle, *kinds):
        what = self.live.get(int(handle))
        if (what[0] if isinstance(what, tuple) else what) not in kinds:
            return cudaError_t.cudaErrorInvalidValue
        del self.live[int(handle)]
        return OK

    def _cudaGetDevice(self):
        return OK, self.device

    def _cudaSetDevice(self, device):
        self.device = device
        return OK

    def _cudaMalloc(self, size):
        return self._allocate("device", size)

    def _cudaMallocHost(self, size):
        return self._allocate("pinned", size)

    def _cudaMallocAsync(self, size, stream):
        return self._allocate("device", size)

    def _cudaFree(self, pointer):
        # For memory of cudaMallocAsync the real one waits for nothing; for other memory it may.
        return self._release(pointer, "device")

    def _cudaFreeAsync(self, pointer, stream):
        if self.capturing is not None:
            return cudaError_t.cudaErrorStreamCaptureUnsupported
        if not self.holds(pointer, 1):
            return cudaError_t.cudaErrorInvalidValue
        return self.enqueue(stream, lambda: self._release(pointer, "device"))

    def _cudaFreeHost(self, pointer):
        return self._release(pointer, "pinned")

    def _cudaStreamCreateWithFlags(self, flags):
        assert flags == self.cudaStreamNonBlocking
        return OK, self._new("stream")

    def _cudaStreamDestroy(self, stream):
        return self._release(stream, "stream")

    def _cudaStreamSynchronize(self, stream):
        if self.capturing is not None:
            return cudaError_t.cudaErrorStreamCaptureUnsupported
        status = self.enqueue(stream, lambda: None)
        self.work_off()
        return status

    def _cudaDeviceSynchronize(self):
        if self.capturing is not None:
            return cudaError_t.cudaErrorStreamCaptureUnsupported
        self.work_off()
        return OK

    def _cudaEventCreateWithFlags(self, flags):
        assert flags in (self.cudaEventDefault, self.cudaEventDisableTiming)
        event = self._new("event")
        if flags == self.cudaEventDefault:
            self.stamps[event] = None
        return OK, event

    def _cudaEventDestroy(self, event):
        return self._release(event, "event")

    def _cudaEventRecord(self, event, stream):
        if self.live.get(event) != "event":
            return cudaError_t.cudaErrorInvalidResourceHandle
        if event in self.stamps:
            self.stamps[event] = float(self.enqueued)
        return self.enqueue(stream, lambda: None)

    def _cudaEventElapsedTime(self, begun, ended):
        return OK, self.stamps[ended] - self.stamps[begun]

    def _cudaStreamWaitEvent(self, stream, event, flags):
        self.waits.append(stream)
        return self._cudaEventRecord(event, stream)

    def _cudaEventSynchronize(self, event):
        self.work_off()
        known = self.live.get(event) == "event"
        return OK if known else cudaError_t.cudaErrorInvalidResourceHandle

    def _cudaMemcpyAsync(self, target, source, size, kind, stream):
        assert kind == cudaMemcpyKind.cudaMemcpyDefault
        if not (self.holds(target, size) and self.holds(source, size)):
            return cudaError_t.cudaErrorInvalidValue

        def move():
            assert self.holds(target, size), "a copy to memory that was given back"
            assert self.holds(source, size), "a copy from memory that was given back"
            ctypes.memmove(target, source, size)

        return self.enqueue(stream, move)

    def _cudaStreamBeginCapture(self, stream, mode):
        if self.capturing is not None:
            return cudaError_t.cudaErrorStreamCaptureUnsupported
        self.capturing = (stream, [])
        return OK

    def _cudaStreamEndCapture(self, stream):
        assert self.capturing is not None
        assert self.capturing[0] == stream
        operations, self.capturing = self.capturing[1], None
        graph = self._new("graph")
        self.graphs[graph] = operations
        return OK, graph

    def _cudaGraphInstantiate(self, graph, flags):
        executable = self._new("executable graph")
        self.graphs[executable] = self.graphs[graph]
        return OK, executable

    def _cudaGraphDestroy(self, graph):
        return self._release(graph, "graph")

    def _cudaGraphExecDestroy(self, executable):
        return self._release(executable, "executable graph")

    def _cudaGraphLaunch(self, executable, stream):
        if self.live.get(executable) != "executable graph":
            return cudaError_t.cudaErrorInvalidResourceHandle

        def replay():
            for operation in self.graphs[executable]:
                operation()

        return self.enqueue(stream, replay)

    def _cudaGetErrorString(self, status):
        return OK, f"what {status.name} means".encode()
