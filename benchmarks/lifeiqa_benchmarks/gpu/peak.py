"""What the device itself reaches: its matrix products and its memory."""

from __future__ import annotations

import statistics
from typing import Any

import torch

from lifeiqa_benchmarks.gpu.clock import device_series

_SIDE = {"cuda": 8192, "cpu": 512}
_BYTES = {"cuda": 2**30, "cpu": 2**24}


def measure_peaks(device: str) -> dict[str, Any]:
    """FLOP/s of a product of square matrices of random numbers, bytes/s of a copy.

    Returns:
        ``float16``, ``float32`` and ``tf32``: FLOP/s, the better of two series; ``copy``: bytes
        read and written a second; ``side``: of the matrices.
    """
    side = _SIDE[device]
    found: dict[str, Any] = {"side": side}
    for name, kind in (("float16", torch.float16), ("float32", torch.float32), ("tf32", None)):
        torch.backends.cuda.matmul.allow_tf32 = kind is None
        found[name] = 2 * side**3 / (min(_product(side, device, kind or torch.float32)) / 1e3)
    torch.backends.cuda.matmul.allow_tf32 = False
    source = torch.randint(0, 256, (_BYTES[device],), dtype=torch.uint8, device=device)
    copy = torch.empty_like(source)
    times = device_series(lambda _: copy.copy_(source), device)["ms"]
    found["copy"] = 2 * _BYTES[device] / (statistics.median(times) / 1e3)
    return found


def _product(side: int, device: str, kind: torch.dtype) -> list[float]:
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    target = torch.empty_like(a)
    times: list[float] = device_series(lambda _: torch.mm(a, b, out=target), device)["ms"]
    return times
