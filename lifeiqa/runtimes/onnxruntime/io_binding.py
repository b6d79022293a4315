"""Runs of an ONNX Runtime session through fixed buffers.

A plain ``InferenceSession.run`` allocates device memory on every call. Here the input and the
output of each batch size are bound once: a run copies the crops in, runs, and copies the scores
out. Fixed addresses are also what a CUDA graph needs: with ``graphs`` ONNX Runtime records the
kernels of each batch size in its first run and replays them afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes.base import Scores
from lifeiqa.runtimes.batching import filled, pieces


@dataclass(frozen=True)
class _Buffers:
    """The buffers of one batch size, and how they are bound to a run."""

    input: Any
    output: Any
    binding: Any
    options: Any


class IoBindingRunner:
    """Runs a session of one input and one output through fixed buffers.

    Args:
        ort: the module ``onnxruntime``.
        session: its ``InferenceSession``: uint8 ``(n, S, S, 3)`` -> float32 ``(n,)``.
        buckets: batch sizes to keep buffers for, see `lifeiqa.runtimes.batching`.
        device: where the buffers are, ``"cuda"`` or ``"cpu"``.
        graphs: the session was opened with ``enable_cuda_graph``; record a graph a batch size.
    """

    def __init__(
        self, ort: Any, session: Any, *, buckets: Sequence[int], device: str, graphs: bool
    ) -> None:
        self._ort, self._session = ort, session
        self._buckets, self._device, self._graphs = tuple(buckets), device, graphs
        self._buffers: dict[int, _Buffers] = {}
        self._lock = threading.Lock()  # two runs in the same buffers would mix their crops

    def run(self, crops: Pixels) -> Scores:
        """Score uint8 ``(N, S, S, 3)``, C-contiguous; return float32 ``(N,)`` in new memory."""
        scores = np.empty(len(crops), np.float32)
        with self._lock:
            for start, stop, bucket in pieces(len(crops), self._buckets):
                buffers = self._buffers_of(bucket)
                buffers.input.update_inplace(filled(crops[start:stop], bucket))
                self._session.run_with_iobinding(buffers.binding, buffers.options)
                scores[start:stop] = buffers.output.numpy()[: stop - start]
        return scores

    def _buffers_of(self, bucket: int) -> _Buffers:
        if bucket not in self._buffers:
            self._buffers[bucket] = self._bound(bucket)
        return self._buffers[bucket]

    def _bound(self, bucket: int) -> _Buffers:
        (source,), (target,) = self._session.get_inputs(), self._session.get_outputs()
        allocate = self._ort.OrtValue.ortvalue_from_shape_and_type
        crops = allocate([bucket, *source.shape[1:]], np.uint8, self._device, 0)
        scores = allocate([bucket], np.float32, self._device, 0)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(source.name, crops)
        binding.bind_ortvalue_output(target.name, scores)
        options = None
        if self._graphs:
            options = self._ort.RunOptions()
            options.add_run_config_entry("gpu_graph_id", str(bucket))
        return _Buffers(crops, scores, binding, options)
