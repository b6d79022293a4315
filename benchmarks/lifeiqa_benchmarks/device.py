"""Time on the GPU alone: CUDA events around runs whose crops and scores stay on the device."""

from __future__ import annotations

import ctypes
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import numpy as np

from lifeiqa.preprocess.decode import Pixels

_WARM_UP = 3


def device_times(session: Any, crops: Pixels, runs: int) -> list[float]:
    """Milliseconds of each run on the device.

    Copies to and from the host, Python, and waiting are not in them. Each run is between two
    events in one stream, after a warm-up, and the host does not wait in between.

    Args:
        session: an open session.
        crops: uint8 ``(N, S, S, 3)``; for an engine, N must be made of its batch sizes.
        runs: how many to time.

    Returns:
        One figure a run; none for a session on a CPU, or in ONNX Runtime, which keeps its stream
        and buffers to itself.
    """
    if hasattr(session, "run_device"):
        return _engine_times(session, crops, runs)
    if getattr(getattr(session, "device", None), "type", None) == "cuda":
        return _torch_times(session, crops, runs)
    return []


def _engine_times(session: Any, crops: Pixels, runs: int) -> list[float]:
    from lifeiqa.runtimes.cuda.api import Cuda

    crops = np.ascontiguousarray(crops)
    cuda = Cuda(0, extra="tensorrt")
    with ExitStack() as owned:
        owned.enter_context(cuda.current())
        stream = owned.enter_context(cuda.stream())
        pinned = owned.enter_context(cuda.pinned_memory(crops.nbytes))
        source = owned.enter_context(cuda.device_memory(crops.nbytes))
        target = owned.enter_context(cuda.device_memory(len(crops) * 4))  # float32
        marks = [owned.enter_context(cuda.event(timed=True)) for _ in range(runs + 1)]
        ctypes.memmove(pinned, crops.ctypes.data, crops.nbytes)
        cuda.copy(source, pinned, crops.nbytes, stream)
        for number in range(-_WARM_UP, runs + 1):
            if number >= 0:
                cuda.record(marks[number], stream)
            if number < runs:
                session.run_device(source, count=len(crops), out=target, stream=stream)
        cuda.synchronize(stream)
        return [cuda.milliseconds(begun, ended) for begun, ended in pairwise(marks)]


def _torch_times(session: Any, crops: Pixels, runs: int) -> list[float]:
    import torch

    on_device = torch.tensor(crops, device=session.device)
    marks = [
        torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        for _ in range(runs + 1)
    ]
    for number in range(-_WARM_UP, runs + 1):
        if number >= 0:
            marks[number].record()
        if number < runs:
            session.run_tensor(on_device)
    torch.cuda.synchronize(session.device)
    return [float(begun.elapsed_time(ended)) for begun, ended in pairwise(marks)]
