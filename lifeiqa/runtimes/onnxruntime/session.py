"""ONNX Runtime as a session, on a CPU or a CUDA device.

On CUDA a run uses buffers on the device and a CUDA graph for each batch size, see
`lifeiqa.runtimes.onnxruntime.io_binding`. `OnnxRuntimeSession.run_traced` is a plain run of another
session, on CUDA too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lifeiqa.artifacts.manifest import Manifest, read_manifest
from lifeiqa.errors import ArtifactError, ConfigError, DeviceError, LifeIQAError, require
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
from lifeiqa.runtimes.batching import buckets_of, filled, pieces
from lifeiqa.runtimes.contract import Value, checked_scores, one_line, require_graph, require_rows
from lifeiqa.runtimes.onnxruntime.io_binding import IoBindingRunner
from lifeiqa.runtimes.onnxruntime.providers import chosen_device, session_on


class OnnxRuntimeSession(Closeable):
    """Runs an exported ONNX model.

    Args:
        path: the ``.onnx`` file; its sidecar, where there is one, is checked first.
        manifest: what `read_manifest` gave for it; None reads it, and refuses what its sums do
            not cover.
        device: ``"cpu"`` or ``"cuda"``; None takes CUDA where the package has it and the driver
            has a device. Whichever it is runs, or it is an error.
        threads: CPU threads within one run; None leaves it to ONNX Runtime.
        rounding: run the graph in its `fp16_emulation.rounded_form`: slower, and on a CPU it rounds
            as an FP16 graph says.

    Raises:
        ArtifactError: the file cannot be loaded, or is not what its manifest says.
        ConfigError: the device is not available, or ONNX Runtime would not run on it.
        DeviceError: CUDA was asked for, and there is no driver or no device.
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest | None = None,
        *,
        device: str | None = None,
        threads: int | None = None,
        rounding: bool = False,
    ) -> None:
        self._ort: Any = require("onnxruntime", extra="cpu", purpose=f"running {path.name}")
        self.manifest = manifest or read_manifest(path)
        self._path = path
        self._rounding = rounding
        self._device = chosen_device(self._ort, device)
        self._options = self._ort.SessionOptions()
        self._options.log_severity_level = 4  # errors are raised, not printed
        if threads is not None:
            self._options.intra_op_num_threads = threads
        model = self._rounded(path).SerializeToString() if rounding else str(path)
        cuda = self._device == "cuda"
        self._session: Any = self._load(model, graphs=cuda)
        sides = self._session.get_inputs(), self._session.get_outputs()
        require_graph(path, self.manifest, *(list(map(_value, side)) for side in sides))
        self._router: tuple[Any, Array] | None = None
        self._bound: IoBindingRunner | None = None
        self.runtime = f"ONNX Runtime {self._ort.__version__} {self._device.upper()}"
        if cuda:
            self._bound = IoBindingRunner(
                self._ort,
                self._session,
                buckets=buckets_of(self.manifest.batch),
                device="cuda",
                graphs=True,
            )
            self.runtime += ", CUDA graphs"
        elif self.manifest.precision == "fp16":
            self.runtime += ", FP16 tensors rounded" if rounding else ", FP16 weights, FP32 between"

    def run(self, crops: Pixels) -> Scores:
        """See `Session.run`. On CUDA, the first run of a batch size is slower: it is recorded.

        Raises:
            ArtifactError: the graph fails, or gives anything but a score for each crop.
            DeviceError: the GPU failed, or its memory is short.
        """
        self._check_open()
        with self._failures():
            if self._bound is None:
                (scores,) = self._run(self._session, [OUTPUT], crops)
                return checked_scores(self._path, scores, len(crops))
            check_crops(crops, self.manifest.config.crop_size)
            return self._bound.run(np.ascontiguousarray(crops))

    def run_traced(self, crops: Pixels) -> tuple[Scores, Trace | None]:
        """See `Traceable.run_traced`. The first call loads the model again, with more outputs.

        The scores are those of the unchanged model: more outputs could change how it is optimised.
        """
        scores = self.run(crops)
        if self.manifest.config.head != "moe":
            return scores, None
        if self._router is None:
            self._router = self._router_session()
        session, weight = self._router
        with self._failures():
            inputs, logits = self._run(session, [ROUTER_INPUTS, ROUTER_LOGITS], crops)
        return scores, Trace(inputs, logits, weight)

    def close(self) -> None:
        """See `Session.close`."""
        self._session = self._router = self._bound = None

    def _check_open(self) -> None:
        if self._session is None:
            raise ConfigError("the session is closed: open another one")

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except LifeIQAError:
            raise
        except Exception as error:  # onnxruntime raises classes of a private module
            if self._device == "cpu":
                raise ArtifactError(
                    f"{self._path}: ONNX Runtime cannot run it: {one_line(error)}"
                ) from error
            raise DeviceError(
                f"{self._path}: ONNX Runtime failed on the GPU: {one_line(error)}. If it is out of "
                f"memory, see what else uses it (nvidia-smi), or export with a small --batch"
            ) from error

    def _load(self, model: str | bytes, *, graphs: bool = False) -> Any:
        try:
            return session_on(self._ort, model, self._options, self._device, graphs=graphs)
        except ConfigError as error:
            raise ConfigError(f"{self._path}: {error}") from error
        except Exception as error:  # onnxruntime raises classes of a private module
            raise ArtifactError(
                f"{self._path}: ONNX Runtime cannot load it: {one_line(error)}"
            ) from error

    def _run(self, session: Any, outputs: list[str], crops: Pixels) -> list[Array]:
        """Run any number of crops, in pieces of the one size that a static graph takes."""
        check_crops(crops, self.manifest.config.crop_size)
        crops = np.ascontiguousarray(crops)
        if self.manifest.batch is None:
            results: list[Array] = session.run(outputs, {INPUT: crops})
            return results
        parts = []
        for start, stop, size in pieces(len(crops), (self.manifest.batch,)):
            values = session.run(outputs, {INPUT: filled(crops[start:stop], size)})
            require_rows(self._path, values, size)
            parts.append([value[: stop - start] for value in values])
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _router_session(self) -> tuple[Any, Array]:
        """A second session whose outputs are the router's tensors, and the router's weight."""
        onnx: Any = require("onnx", extra="export", purpose="looking into the router of a graph")
        model = self._rounded(self._path) if self._rounding else onnx.load(self._path)
        inside = {value.name: value for value in model.graph.value_info}
        weights = [w for w in model.graph.initializer if w.name.endswith(ROUTER_WEIGHT)]
        if ROUTER_LOGITS not in inside or ROUTER_INPUTS not in inside or len(weights) != 1:
            raise ArtifactError(
                f"{self._path}: its graph does not name the router's tensors; export it again"
            )
        del model.graph.output[:]
        model.graph.output.extend([inside[ROUTER_INPUTS], inside[ROUTER_LOGITS]])
        return self._load(model.SerializeToString()), onnx.numpy_helper.to_array(weights[0])

    @staticmethod
    def _rounded(path: Path) -> Any:
        onnx: Any = require("onnx", extra="export", purpose="rounding as an FP16 graph says")
        from lifeiqa.runtimes.onnxruntime.fp16_emulation import rounded_form

        return rounded_form(onnx.load(path))


def _value(found: Any) -> Value:
    """How ONNX Runtime describes an input or output: ``tensor(float)`` is float32."""
    kind = found.type.removeprefix("tensor(").removesuffix(")")
    kind = {"float": "float32", "double": "float64"}.get(kind, kind)
    sides = (side if isinstance(side, int) else None for side in found.shape or ())
    return Value(found.name, kind, tuple(sides))
