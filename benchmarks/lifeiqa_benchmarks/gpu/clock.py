"""Time of runs on a device: events around each run, medians of two series, after a warm-up."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch

_WARM_UP = 5
_LEAST, _MOST = {"cuda": 10, "cpu": 2}, 300


def device_series(
    work: Callable[[int], object], device: str, *, seconds: float = 0.4, series: int = 2
) -> dict[str, Any]:
    """Milliseconds of a run, measured twice, so that their difference can be seen.

    On CUDA each run lies between two events in the current stream, and the host waits only after
    a whole series. On a CPU a clock of the host is read.

    Args:
        work: takes the number of the run and puts it into the current stream.
        device: ``"cuda"`` or ``"cpu"``.
        seconds: about how long a series takes; never under 10 runs, on a CPU 2.
        series: how many.

    Returns:
        ``ms``: the median of each series; ``p10_ms`` and ``p90_ms`` over all runs; ``runs``.
    """
    times = _cuda_times if device == "cuda" else _host_times
    for number in range(_WARM_UP if device == "cuda" else 1):
        work(number)
    # The larger of two runs: after a pause the clock rate of the device may still be rising.
    guess = max(*times(work, 2), 1e-3) / 1e3
    runs = max(_LEAST[device], min(_MOST, round(seconds / guess)))
    return _summary([times(work, runs) for _ in range(series)])


def host_series(
    work: Callable[[int], object], *, seconds: float = 0.4, series: int = 2
) -> dict[str, Any]:
    """Like `device_series`, by the host's clock; ``work`` must wait for its result itself."""
    for number in range(_WARM_UP):
        work(number)
    return device_series(work, "cpu", seconds=seconds, series=series)


def _summary(found: list[list[float]]) -> dict[str, Any]:
    every = sorted(value for series in found for value in series)
    return {
        "ms": [round(statistics.median(series), 5) for series in found],
        "p10_ms": round(every[len(every) // 10], 5),
        "p90_ms": round(every[len(every) * 9 // 10], 5),
        "runs": len(every),
    }


def _cuda_times(work: Callable[[int], object], runs: int) -> list[float]:
    torch.cuda.synchronize()
    marks = [
        torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        for _ in range(runs + 1)
    ]
    for number in range(runs + 1):
        marks[number].record()
        if number < runs:
            work(number)
    torch.cuda.synchronize()
    return [float(begun.elapsed_time(ended)) for begun, ended in pairwise(marks)]


def _host_times(work: Callable[[int], object], runs: int) -> list[float]:
    found = []
    for number in range(runs):
        begun = time.perf_counter()
        work(number)
        found.append(1e3 * (time.perf_counter() - begun))
    return found
