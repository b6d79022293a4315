"""OpenVINO as a session, on a CPU.

**Arithmetic.** By default OpenVINO computes an FP32 graph in bfloat16 wherever the processor can,
so a score would depend on the machine. Here it computes in float32 everywhere.

**Batches.** A graph with a dynamic batch is compiled for one crop, and crops run one after the
other. OpenVINO's CPU plugin takes the first dimension of the experts' weights for that of the batch
and fails on the dynamic graph. Each fixed batch size would be compiled separately, with a copy of
the weights, and on few cores a batch is no faster than its crops one by one.

**Threads.** One infer request serves all threads of a session, which take turns. There is one
stream, so two requests would wait for each other as well, and one crop uses all the cores.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lifeiqa.artifacts.manifest import Manifest, read_manifest
from lifeiqa.errors import ArtifactError, ConfigError
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes.base import (
    INPUT,
    OUTPUT,
    ROUTER_INPUTS,
    ROUTER_LOGITS,
    ROUTER_WEIGHT,
    Array,
    Closeable,
    Scores,
    Trace,
    check_crops,
)
from lifeiqa.runtimes.batching import filled, pieces
from lifeiqa.runtimes.contract import Value, checked_scores, one_line, require_graph, require_rows
from lifeiqa.runtimes.openvino.library import (
    load_openvino,
    openvino_core,
    openvino_from_onnx,
    openvino_words,
)

_CROPS = 1
"""Crops per run of a graph with a dynamic batch."""

_SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": "1",
    "INFERENCE_PRECISION_HINT": "f32",
    "EXECUTION_MODE_HINT": "ACCURACY",  # no other rounding for speed either
    # Pinned threads of two processes, or of two runtimes in one, would share a core for ever.
    "ENABLE_CPU_PINNING": "NO",
}


class OpenVINOSession(Closeable):
    """Runs an exported ONNX model.

    Args:
        path: the ``.onnx`` file; its sidecar, where there is one, is checked first.
        manifest: what `read_manifest` gave for it; None reads it, and refuses what its sums do
            not cover.
        threads: CPU threads within one run; None leaves it to OpenVINO.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        ArtifactError: the file cannot be loaded, or is not what its manifest says.
    """

    def __init__(
        self, path: Path, manifest: Manifest | None = None, *, threads: int | None = None
    ) -> None:
        self._ov: Any = load_openvino(f"running {path.name} with OpenVINO")
        self.manifest = manifest or read_manifest(path)
        self._path = path
        self._settings = dict(_SETTINGS)
        if threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = str(threads)
        self._size = self.manifest.batch or _CROPS
        self._lock = threading.Lock()
        self._request: Any = self._compiled(self._model())
        self._router: tuple[Any, Array] | None = None
        self.runtime = openvino_words(self._ov)
        if self.manifest.precision == "fp16":
            self.runtime += ", FP16 weights, FP32 between"

    def run(self, crops: Pixels) -> Scores:
        """See `Session.run`.

        Raises:
            ArtifactError: the graph fails, or returns anything but a score for each crop.
        """
        with self._lock:
            self._check_open()
            (scores,) = self._run(self._request, [OUTPUT], crops)
            return checked_scores(self._path, scores, len(crops))

    def run_traced(self, crops: Pixels) -> tuple[Scores, Trace | None]:
        """See `Traceable.run_traced`. The first call loads the model again, with more outputs."""
        scores = self.run(crops)
        if self.manifest.config.head != "moe":
            return scores, None
        with self._lock:
            self._check_open()
            if self._router is None:
                self._router = self._router_request()
            request, weight = self._router
            inputs, logits = self._run(request, [ROUTER_INPUTS, ROUTER_LOGITS], crops)
            return scores, Trace(inputs, logits, weight)

    def close(self) -> None:
        """See `Session.close`."""
        with self._lock:
            self._request = self._router = None

    def _check_open(self) -> None:
        if self._request is None:
            raise ConfigError("the session is closed: open another one")

    def _model(self) -> Any:
        """The graph with its one batch size."""
        side = self.manifest.config.crop_size
        with self._failures_to_load():
            model = openvino_from_onnx(self._ov, self._path)
        sides = model.inputs, model.outputs
        require_graph(self._path, self.manifest, *(list(map(_value, side)) for side in sides))
        with self._failures_to_load():
            model.reshape({INPUT: [self._size, side, side, 3]})
            return model

    def _compiled(self, model: Any) -> Any:
        """An infer request for a model."""
        with self._failures_to_load():
            compiled = openvino_core(self._ov).compile_model(model, "CPU", self._settings)
            return compiled.create_infer_request()

    @contextlib.contextmanager
    def _failures_to_load(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # some of OpenVINO's classes are of a private module
            raise ArtifactError(
                f"{self._path}: OpenVINO cannot load it: {one_line(error)}. "
                f"Try --runtime onnxruntime, or runtime='onnxruntime'"
            ) from error

    def _router_request(self) -> tuple[Any, Array]:
        """A second request whose outputs are also the router's tensors, and the router's weight."""
        model = self._model()
        nodes = model.get_ops()
        names = {name for node in nodes for output in node.outputs() for name in output.get_names()}
        weights = [
            node
            for node in nodes
            if node.get_type_name() == "Constant"
            and node.get_friendly_name().endswith(ROUTER_WEIGHT)
        ]
        if not {ROUTER_INPUTS, ROUTER_LOGITS} <= names or len(weights) != 1:
            raise ArtifactError(
                f"{self._path}: its graph does not name the router's tensors; export it again"
            )
        model.add_outputs([ROUTER_INPUTS, ROUTER_LOGITS])
        return self._compiled(model), np.array(weights[0].data)

    def _run(self, request: Any, outputs: list[str], crops: Pixels) -> list[Array]:
        """Run any number of crops, in pieces of the one size that the model was compiled for."""
        check_crops(crops, self.manifest.config.crop_size)
        parts = []
        for start, stop, size in pieces(len(crops), (self._size,)):
            request.get_tensor(INPUT).data[:] = filled(crops[start:stop], size)
            try:
                request.infer()
            except RuntimeError as error:
                raise ArtifactError(
                    f"{self._path}: OpenVINO cannot run it: {one_line(error)}"
                ) from error
            values = [request.get_tensor(name).data for name in outputs]
            require_rows(self._path, values, size)
            # The request reuses its memory in the next run, so a copy is returned.
            parts.append([value[: stop - start].copy() for value in values])
        return [np.concatenate(values) for values in zip(*parts, strict=True)]


def _value(port: Any) -> Value:
    """How OpenVINO describes an input or output."""
    shape = port.get_partial_shape()
    known = shape if shape.rank.is_static else ()
    sides = (side.get_length() if side.is_static else None for side in known)
    return Value(
        port.get_any_name(), np.dtype(port.get_element_type().to_dtype()).name, tuple(sides)
    )
