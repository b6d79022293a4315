"""ONNX Runtime as a session, on a CPU or a CUDA device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lifeiqa.errors import ArtifactError, ConfigError, require
from lifeiqa.image import Pixels
from lifeiqa.manifest import read_manifest
from lifeiqa.session import Array, Closing, Scores, Trace, check_crops
from lifeiqa.sessions.batches import filled, pieces

ROUTER_INPUTS, ROUTER_LOGITS = "router_inputs", "router_logits"
"""Names of values inside an exported graph."""
ROUTER_WEIGHT = "router.weight"
"""The initialiser of the router ends with this."""
_PROVIDERS = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}


class OnnxRuntimeSession(Closing):
    """Runs an exported ONNX model.

    Args:
        path: the ``.onnx`` file; its sidecar, where there is one, is checked first.
        provider: ``"cpu"`` or ``"cuda"``; None takes CUDA where it is available.
        threads: CPU threads within one run; None leaves it to ONNX Runtime.
        rounding: run the graph in its `lifeiqa.sessions.rounding.rounded_form`: slower, and true
            to an FP16 graph on a CPU.

    Raises:
        ArtifactError: the file cannot be loaded.
        ConfigError: the provider is not available.
    """

    def __init__(
        self,
        path: Path,
        *,
        provider: str | None = None,
        threads: int | None = None,
        rounding: bool = False,
    ) -> None:
        self._ort: Any = require("onnxruntime", extra="cpu", purpose=f"running {path.name}")
        self.manifest = read_manifest(path)
        self._path = path
        self._rounding = rounding
        available = self._ort.get_available_providers()
        if provider is not None and _PROVIDERS[provider] not in available:
            raise ConfigError(
                f"provider is {provider!r}, and this onnxruntime has {', '.join(available)}. "
                f"For CUDA: pip install 'lifeiqa[gpu]'"
            )
        names = [_PROVIDERS[provider]] if provider else list(_PROVIDERS.values())
        self._providers = [name for name in names if name in available]
        self._options = self._ort.SessionOptions()
        self._options.log_severity_level = 3  # errors only: nothing else concerns a user
        if threads is not None:
            self._options.intra_op_num_threads = threads
        model = self._rounded(path).SerializeToString() if rounding else str(path)
        self._session: Any = self._load(model)
        self._input = self._session.get_inputs()[0].name
        self._router: tuple[Any, Array] | None = None
        actual = self._session.get_providers()[0]
        provider_name = actual.removesuffix("ExecutionProvider")
        self.runtime = f"ONNX Runtime {self._ort.__version__} {provider_name}"
        if self.manifest.precision == "fp16" and provider_name == "CPU":
            self.runtime += ", FP16 tensors rounded" if rounding else ", FP16 weights, FP32 between"

    def run(self, crops: Pixels) -> Scores:
        """See `Session.run`."""
        self._check_open()
        (scores,) = self._run(self._session, ["score"], crops)
        return scores

    def trace(self, crops: Pixels) -> Trace | None:
        """See `Traceable.trace`. The first call loads the model once more, with more outputs."""
        self._check_open()
        if self.manifest.config.head != "moe":
            return None
        if self._router is None:
            self._router = self._router_session()
        session, weight = self._router
        inputs, logits = self._run(session, [ROUTER_INPUTS, ROUTER_LOGITS], crops)
        return Trace(inputs, logits, weight)

    def close(self) -> None:
        """See `Session.close`."""
        self._session = self._router = None

    def _check_open(self) -> None:
        if self._session is None:
            raise ConfigError("the session is closed: open another one")

    def _load(self, model: str | bytes) -> Any:
        try:
            return self._ort.InferenceSession(
                model, sess_options=self._options, providers=self._providers
            )
        except Exception as error:  # onnxruntime raises classes of a private module
            raise ArtifactError(f"{self._path}: ONNX Runtime cannot load it: {error}") from error

    def _run(self, session: Any, outputs: list[str], crops: Pixels) -> list[Array]:
        """Run any number of crops, in pieces of the one size that a static graph takes."""
        check_crops(crops, self.manifest.config.crop_size)
        crops = np.ascontiguousarray(crops)
        if self.manifest.batch is None:
            results: list[Array] = session.run(outputs, {self._input: crops})
            return results
        parts = []
        for start, stop, size in pieces(len(crops), (self.manifest.batch,)):
            values = session.run(outputs, {self._input: filled(crops[start:stop], size)})
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
        from lifeiqa.sessions.rounding import rounded_form

        return rounded_form(onnx.load(path))
