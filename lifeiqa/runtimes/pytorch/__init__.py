"""PyTorch, on a CPU or with CUDA."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lifeiqa.errors import DeviceError, MissingDependencyError, installed, require, require_all
from lifeiqa.runtimes.entry import Availability, Runtime

if TYPE_CHECKING:
    from lifeiqa.artifacts.manifest import Manifest
    from lifeiqa.runtimes.base import Session


def _available(device: str) -> Availability:
    return Availability.of(lambda: _words(device))


def _words(device: str) -> str:
    """PyTorch itself is loaded only where it may find a GPU."""
    if not installed("torch"):
        raise MissingDependencyError(
            f"PyTorch is not installed. Install it: {RUNTIME.install}", name="torch"
        )
    version = importlib.metadata.version("torch")
    if device == "cuda":
        if "rocm" not in version:  # there PyTorch calls a GPU of AMD's cuda
            from lifeiqa.runtimes.cuda.driver import cuda_device

            cuda_device()
        torch: Any = require("torch", extra="export", purpose="a checkpoint")
        if not torch.cuda.is_available():
            raise DeviceError("PyTorch finds no CUDA device. Use device cpu")
    return f"PyTorch {version} {device.upper()}"


def _open(path: Path, manifest: Manifest, *, device: str, threads: int | None) -> Session:
    require_all("torch", "timm", "safetensors", extra="export", purpose=f"running {path.name}")
    from lifeiqa.runtimes.pytorch.session import open_checkpoint

    return open_checkpoint(path, manifest, device=device, threads=threads)


RUNTIME = Runtime(
    name="pytorch",
    title="PyTorch",
    suffixes=(".safetensors",),
    devices=("cuda", "cpu"),
    install="pip install 'lifeiqa[export]'",
    available=_available,
    open=_open,
    packages=("torch", "timm"),
)
