"""torch.compile in float16, plain and under a CUDA graph.

Compiling a large network takes a minute on all cores, and timing needs a quiet machine. So this
process compiles, prints ``ready``, and waits for a line before it measures.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

from lifeiqa_benchmarks.gpu.clock import device_series
from lifeiqa_benchmarks.gpu.eager import (
    caller,
    captured,
    on_device,
    prepare_torch,
    random_crops,
)
from lifeiqa_benchmarks.gpu.networks import half_dense_model, sparse_model
from lifeiqa_benchmarks.gpu.records import Records

PLAIN, GRAPH = "torch.compile FP16", "torch.compile FP16, CUDA graph"


def measure(
    network: str, folder: Path, device: str, batch: int, seconds: float, records: Records
) -> None:
    """Compile for one batch size, print ``ready``, wait for a line on standard input, measure."""
    prepare_torch()
    what = {"network": network, "batch": batch}
    with records.attempt(**what, candidate=PLAIN):
        sparse, _ = sparse_model(network, folder)
        model = on_device(half_dense_model(sparse), device)
        crops = random_crops(batch, sparse, device)
        begun = time.perf_counter()
        model.compile(dynamic=False)
        run = caller(model, crops)
        run(0)
        if device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.empty_cache()  # others measure meanwhile
        records.add("compile", **what, candidate=PLAIN, seconds=time.perf_counter() - begun)
        print("ready", flush=True)
        sys.stdin.readline()
        records.add("time", **what, candidate=PLAIN, **device_series(run, device, seconds=seconds))
        with records.attempt(**what, candidate=GRAPH):
            replay = captured(model, crops)
            found = device_series(replay, device, seconds=seconds)
            records.add("time", **what, candidate=GRAPH, **found)
