"""ONNX Runtime, on a CPU or with CUDA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lifeiqa.runtimes.entry import Availability, Runtime

if TYPE_CHECKING:
    from lifeiqa.artifacts.manifest import Manifest
    from lifeiqa.runtimes.base import Session


def _available(device: str) -> Availability:
    from lifeiqa.runtimes.onnxruntime.providers import words_of

    return Availability.of(lambda: words_of(device))


def _open(path: Path, manifest: Manifest, *, device: str, threads: int | None) -> Session:
    from lifeiqa.runtimes.onnxruntime.session import OnnxRuntimeSession

    return OnnxRuntimeSession(path, manifest, device=device, threads=threads)


RUNTIME = Runtime(
    name="onnxruntime",
    title="ONNX Runtime",
    suffixes=(".onnx",),
    devices=("cuda", "cpu"),
    install="pip install 'lifeiqa[cpu]'",
    available=_available,
    open=_open,
    packages=("onnxruntime", "onnxruntime-gpu"),
)
