"""A TensorRT engine as a session: checked before TensorRT sees it, run with CUDA graphs.

**Trust.** An engine is native code: loading an untrusted engine runs an untrusted program. The sums
in its sidecar show that it is the file that was built, not that its builder is honest.

**Threads.** A session may be used from any thread; its calls take turns. Sessions do not disturb
each other, so a thread that must not wait opens its own session.

**Contexts.** Memory belongs to the primary context of the device, the one that the CUDA runtime,
torch and CuPy use; pycuda must use it too (``pycuda.autoprimaryctx``) to share arrays.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from lifeiqa.artifacts.engine_info import EngineInfo, target_of
from lifeiqa.artifacts.manifest import Manifest, read_manifest
from lifeiqa.artifacts.onnx_inspect import require_one_file
from lifeiqa.errors import ArtifactError, ConfigError, DeviceError
from lifeiqa.files import sha256_of
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes.base import Closeable, Scores, check_crops
from lifeiqa.runtimes.batching import batch_sizes, exact_pieces, pieces
from lifeiqa.runtimes.cuda.api import Cuda
from lifeiqa.runtimes.cuda.arrays import device_crops, device_scores, stream_handle
from lifeiqa.runtimes.cuda.driver import Device, cuda_device
from lifeiqa.runtimes.cuda.results import ResultMemory
from lifeiqa.runtimes.tensorrt.error_log import ErrorLog
from lifeiqa.runtimes.tensorrt.execution import DeviceBatch, DeviceScores, Executor, HostBatch
from lifeiqa.runtimes.tensorrt.library import Library, library_named


class TensorRTSession(Closeable):
    """Runs an engine of `lifeiqa-engine build`.

    Args:
        path: the ``.engine`` file, with its sidecar beside it.
        manifest: what `read_manifest` gave for it; None reads it.
        cuda_graph: replay one CUDA graph per batch size; otherwise enqueue each run again.
        device: number of the GPU.

    Raises:
        ArtifactError: the engine or its sidecar is missing, changed or damaged.
        MissingDependencyError: its TensorRT, or ``cuda-bindings``, is not installed.
        EngineMismatchError: it was built for another TensorRT or another chip.
        DeviceError: there is no driver or device, or CUDA failed.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest | None = None,
        *,
        cuda_graph: bool = True,
        device: int = 0,
    ) -> None:
        self.manifest = manifest or read_manifest(path)
        info = self.manifest.engine
        if info is None:
            raise ArtifactError(f"{path}: its manifest describes no engine: {self.manifest.kind}")
        library, rebuild = library_named(info.runtime), _rebuild(self.manifest, info)
        trt = library.load(f"running {path.name}")
        info.require_version(trt.__version__, library.title, rebuild)
        gpu = cuda_device(device)
        if library.ahead_of_time:
            rebuild += f" --target {target_of(gpu.compute_capability)}"
        info.require_chip(gpu.compute_capability, gpu.name, rebuild)

        self.runtime = _words(library, trt, gpu, cuda_graph)
        self._size = self.manifest.config.crop_size
        self._profiles = info.profiles
        self._batches = batch_sizes(info.profiles)
        self._capture = cuda_graph and not library.captures_graphs
        self._hosts: dict[int, HostBatch] = {}
        self._devices: dict[int, DeviceBatch] = {}
        self._lock = threading.Lock()
        self._cuda = Cuda(device, extra=library.name)
        self._closed = False
        with self._cuda.current(), ExitStack() as owned:
            self._results = owned.enter_context(ResultMemory(self._cuda))
            self._stream = owned.enter_context(self._cuda.stream())
            self._engine = _Engine(trt, path, self.manifest, info, cuda_graph=cuda_graph)
            owned.callback(self._engine.close)
            self._owned = owned.pop_all()

    def run(self, crops: Pixels) -> Scores:
        """See `Session.run`. A batch that fits no profile is cut, and its last piece filled up."""
        with self._lock, self._cuda.current():
            self._check_open()
            check_crops(crops, self._size)
            scores = np.empty(len(crops), dtype=np.float32)
            for start, stop, batch in pieces(len(crops), list(self._batches)):
                scores[start:stop] = self._host(batch).run(crops[start:stop])
            return scores

    def run_device(
        self, crops: Any, *, stream: Any, count: int | None = None, out: Any = None
    ) -> Any:
        """Score crops on the device in place; nothing is copied or waited for.

        Args:
            crops: contiguous uint8 ``(N, S, S, 3)`` of any library with
                ``__cuda_array_interface__``, or its address. Keep it until the stream is done.
            stream: that of the caller: an object with ``__cuda_stream__``, or its handle.
            count: N, where ``crops`` is an address.
            out: float32 ``(N,)`` on the device, or its address; None allocates a new array.

        Returns:
            ``out``, or a `DeviceScores` that owns its memory: float32 ``(N,)`` in label units,
            ready for what follows in the stream.

        Raises:
            ConfigError: type, shape or layout are wrong, or N cannot be cut into the batch sizes
                of the engine, the largest first.
            DeviceError: CUDA or TensorRT failed.
        """
        with self._lock, self._cuda.current():
            self._check_open()
            given, handle = device_crops(crops, self._size, count), stream_handle(stream)
            parts = exact_pieces(given.count, self._profiles)
            scores = out
            if out is None:
                scores = DeviceScores(self._results, given.count, handle)
            target = device_scores(scores, given.count)
            self._follow(given.stream, handle)
            crop = self._size * self._size * 3
            for start, stop, profile in parts:
                self._device(profile).enqueue(
                    given.pointer + start * crop,
                    target.pointer + start * np.dtype(np.float32).itemsize,
                    shape=(stop - start, self._size, self._size, 3),
                    stream=handle,
                )
            return scores

    def close(self) -> None:
        """See `Session.close`. Waits for what `run_device` put into streams."""
        with self._lock, self._cuda.current():
            self._closed = True
            self._hosts, self._devices = {}, {}
            self._owned.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ConfigError("the session is closed: open another one")

    def _host(self, batch: int) -> HostBatch:
        if batch not in self._hosts:
            made = HostBatch(
                self._cuda,
                self._engine.executor(),
                stream=self._stream,
                profile=self._batches[batch],
                shape=(batch, self._size, self._size, 3),
                capture=self._capture,
            )
            self._hosts[batch] = self._owned.enter_context(made)
        return self._hosts[batch]

    def _device(self, profile: int) -> DeviceBatch:
        if profile not in self._devices:
            made = DeviceBatch(
                self._cuda, self._engine.executor(), stream=self._stream, profile=profile
            )
            self._devices[profile] = self._owned.enter_context(made)
        return self._devices[profile]

    def _follow(self, producer: int | None, stream: int) -> None:
        """Make a stream wait for the one that computes an array, if that is another."""
        if producer is not None and producer != (stream or 1):
            with self._cuda.event() as made:
                self._cuda.record(made, producer)
                self._cuda.wait_in(stream, made)


class _Engine:
    """TensorRT's objects for one engine."""

    def __init__(
        self, trt: Any, path: Path, manifest: Manifest, info: EngineInfo, *, cuda_graph: bool
    ) -> None:
        self._trt, self._cuda_graph = trt, cuda_graph
        self._captures = library_named(info.runtime).captures_graphs
        self._errors = ErrorLog(trt)
        plan = path.read_bytes()
        # These are the bytes that TensorRT gets: the file may have been replaced since its check.
        if hashlib.sha256(plan).hexdigest() != manifest.sha256:
            raise ArtifactError(f"{path}: it was replaced while it was being opened: try again")
        self._runtime: Any = self._errors.make(trt.Runtime)
        # A version-compatible plan brings its own runtime; no other plan holds host code.
        self._runtime.engine_host_code_allowed = info.version_compatible
        self._engine: Any = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ArtifactError(f"{path}: TensorRT cannot load it: {self._errors.take()}")
        if info.stripped:
            self._refit(path, manifest)

    def executor(self) -> Executor:
        """A new context, with working memory for the profile that it will use."""
        strategy = self._trt.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE
        if self._captures:
            graphs = self._trt.CudaGraphStrategy
            config = self._engine.create_runtime_config()
            config.set_execution_context_allocation_strategy(strategy)
            config.cuda_graph_strategy = (
                graphs.WHOLE_GRAPH_CAPTURE if self._cuda_graph else graphs.DISABLED
            )
            context = self._engine.create_execution_context(config)
        else:
            context = self._engine.create_execution_context(strategy)
        if context is None:
            raise DeviceError(f"TensorRT created no execution context: {self._errors.take()}")
        return Executor(context, self._errors)

    def close(self) -> None:
        self._engine = self._runtime = None

    def _refit(self, path: Path, manifest: Manifest) -> None:
        """Fill a stripped engine from its parent, an ONNX file in the same folder."""
        parent = manifest.parents[0]
        source = path.with_name(parent.file)
        if not source.is_file() or sha256_of(source) != parent.sha256:
            raise ArtifactError(
                f"{path}: it was built without its weights and takes them from {parent.file} "
                f"(sha256 {parent.sha256}): put that file into the same folder"
            )
        require_one_file(source)
        refitter = self._errors.make(self._trt.Refitter, self._engine)
        parser = self._errors.make(self._trt.OnnxParserRefitter, refitter)
        if not (parser.refit_from_file(str(source)) and refitter.refit_cuda_engine()):
            raise ArtifactError(f"{path}: it cannot take its weights: {self._errors.take()}")


def _rebuild(manifest: Manifest, info: EngineInfo) -> str:
    source = manifest.parents[0].file if manifest.parents else "MODEL.onnx"
    return f"lifeiqa-engine build {source} --runtime {info.runtime}"


def _words(library: Library, trt: Any, gpu: Device, cuda_graph: bool) -> str:
    graph = ", CUDA graph" if cuda_graph else ""
    target = target_of(gpu.compute_capability)
    return f"{library.title} {trt.__version__} {gpu.name} ({target}){graph}"
