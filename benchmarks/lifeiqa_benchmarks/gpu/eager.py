"""PyTorch without a compiler: eager in float32 and float16, and float16 under CUDA graphs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lifeiqa.model.network import ScoringModel
from lifeiqa.runtimes.base import Session
from lifeiqa.runtimes.pytorch.session import PyTorchSession
from lifeiqa_benchmarks.gpu.clock import device_series, host_series
from lifeiqa_benchmarks.gpu.networks import flops_of, half_dense_model, sparse_model
from lifeiqa_benchmarks.gpu.peak import measure_peaks
from lifeiqa_benchmarks.gpu.records import Records
from lifeiqa_export.half import to_half

SETS = 4
"""Batches that the runs take in turn, so that no run finds its input in a cache."""


def measure(
    network: str,
    folder: Path,
    device: str,
    batches: Sequence[int],
    seconds: float,
    records: Records,
) -> None:
    """Measure one network; every candidate and batch size is a record."""
    prepare_torch()
    records.add("peak", network=network, **measure_peaks(device))
    sparse, manifest = sparse_model(network, folder)
    with records.attempt(network=network, candidate="count of operations"):
        records.add("flops", network=network, flops=flops_of(sparse))
    forms = {
        "PyTorch eager FP32": sparse,
        "PyTorch eager FP32, TF32": sparse,
        "PyTorch eager FP16": to_half(sparse),
        "PyTorch eager FP16, dense": half_dense_model(sparse),
    }
    placed = {name: on_device(model, device) for name, model in forms.items()}
    for batch in batches:
        crops = random_crops(batch, sparse, device)
        for name, model in placed.items():
            what = {"network": network, "candidate": name, "batch": batch}
            with records.attempt(**what), tf32(name.endswith("TF32")):
                found = device_series(caller(model, crops), device, seconds=seconds)
                records.add("time", **what, **found)
        what = {"network": network, "candidate": "PyTorch FP16, CUDA graph", "batch": batch}
        with records.attempt(**what):
            replay = captured(placed["PyTorch eager FP16, dense"], crops)
            records.add("time", **what, **device_series(replay, device, seconds=seconds))
        # As `lifeiqa score` runs a checkpoint: crops from the host, scores back to it.
        what = {"network": network, "candidate": "PyTorch eager FP32", "batch": batch}
        with records.attempt(**what), PyTorchSession(sparse, manifest, device=device) as session:
            found = host_series(whole(session, crops), seconds=seconds)
            records.add("host time", **what, **found)


def whole(session: Session, crops: Sequence[Tensor]) -> Callable[[int], object]:
    """A run from crops on the host to scores on the host."""
    host = [each.cpu().numpy() for each in crops]
    return lambda number: session.run(host[number % len(host)])


def prepare_torch() -> None:
    """The settings of every candidate: the best convolutions, float32 that is float32."""
    torch.backends.cudnn.benchmark = True
    _set_tf32(False)


class tf32:  # noqa: N801  # used like a function
    """In its block, float32 products use 10 bits of the mantissa of each factor."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __enter__(self) -> None:
        _set_tf32(self._on)

    def __exit__(self, *_: object) -> None:
        _set_tf32(False)


def _set_tf32(on: bool) -> None:
    torch.backends.cudnn.allow_tf32 = on
    torch.backends.cuda.matmul.allow_tf32 = on


def on_device(model: ScoringModel, device: str) -> ScoringModel:
    """A copy on the device, with its convolutions in the layout of the crops."""
    placed: Any = copy.deepcopy(model).to(device)
    return placed.to(memory_format=torch.channels_last)  # type: ignore[no-any-return]


def random_crops(batch: int, model: ScoringModel, device: str) -> list[Tensor]:
    """`SETS` batches of noise, uint8 ``(batch, S, S, 3)``."""
    size = model.network.config.crop_size
    generator = torch.Generator().manual_seed(batch)
    shape = (batch, size, size, 3)
    return [
        torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device)
        for _ in range(SETS)
    ]


def caller(model: ScoringModel, crops: Sequence[Tensor]) -> Callable[[int], object]:
    """A run of the model as `lifeiqa_benchmarks.gpu.clock` calls it."""

    @torch.inference_mode()
    def run(number: int) -> object:
        return model(crops[number % len(crops)]).score.float()

    return run


def captured(model: ScoringModel, crops: Sequence[Tensor]) -> Callable[[int], object]:
    """A replay of the model as one CUDA graph; the copy into its fixed input is part of a run.

    Raises:
        RuntimeError: it cannot be captured, or a replay gives other scores than a plain run.
    """
    source = crops[0].clone()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.inference_mode(), torch.cuda.stream(side):
        for _ in range(3):
            model(source)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph):
        scores = model(source).score.float()

    def replay(number: int) -> object:
        source.copy_(crops[number % len(crops)])
        graph.replay()
        return scores

    with torch.inference_mode():
        scores.fill_(torch.nan)
        replay(1)
        plain = model(crops[1]).score.float()
        if not torch.allclose(scores, plain, rtol=1e-2, atol=1e-2):
            worst = (scores - plain).abs().max().item()
            raise RuntimeError(f"a replayed graph is off by {worst:.2e} from a plain run")
    return replay
