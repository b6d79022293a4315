"""One runtime a module, each imported only when a file needs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

from lifeiqa.artifacts.manifest import require_verifiable
from lifeiqa.config import Provider, require_choice
from lifeiqa.errors import ArtifactError, ConfigError, require_all
from lifeiqa.runtimes.base import Session
from lifeiqa.runtimes.selection import preferred_provider


def open_session(
    path: str | os.PathLike[str],
    *,
    provider: str | None = None,
    threads: int | None = None,
    verify: bool = True,
) -> Session:
    """Open a model file with the runtime that fits it; the file's manifest is checked first.

    Args:
        path: a ``.safetensors`` checkpoint (PyTorch), an ``.onnx`` model (ONNX Runtime or
            OpenVINO), or an ``.engine`` (TensorRT).
        provider: ``"cpu"`` or ``"cuda"``, for an ONNX model also ``"openvino"``; None takes CUDA
            where the runtime and the driver have it, else for an ONNX model OpenVINO where it is
            installed, else the CPU. Whichever it is runs, or it is an error.
        threads: CPU threads for one run; None leaves it to the runtime.
        verify: whether an ONNX model that its manifest's sums do not cover is refused; if not,
            ``session.manifest.verified`` tells. See `lifeiqa.artifacts.manifest.read_manifest`.

    Raises:
        ArtifactError: the file is missing, damaged, no model file, or not what its manifest says.
        EngineMismatchError: an engine was built for another TensorRT or another chip.
        MissingDependencyError: its runtime is not installed; the message names the extra.
        DeviceError: an engine, or who asked for CUDA, finds no driver or device, or CUDA failed.
        ConfigError: the provider is unknown, not available here, or not the one that would run; or
            an engine was to be opened unverified.
    """
    path = Path(path)
    if provider is not None:
        require_choice("provider", provider, get_args(Provider))
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}: at least 1 is expected")
    if path.suffix == ".onnx":
        if (provider or preferred_provider()) == "openvino":
            from lifeiqa.runtimes.openvino.session import OpenVINOSession

            return OpenVINOSession(path, threads=threads, verify=verify)
        from lifeiqa.runtimes.onnxruntime.session import OnnxRuntimeSession

        return OnnxRuntimeSession(path, provider=provider, threads=threads, verify=verify)
    if path.suffix == ".safetensors":
        if provider == "openvino":
            raise ConfigError(
                f"provider is 'openvino', and {path.name} runs in PyTorch: choose cpu or cuda, or "
                f"export it: lifeiqa-export {path.name}"
            )
        require_all("torch", "timm", "safetensors", extra="export", purpose=f"running {path.name}")
        from lifeiqa.runtimes.pytorch import open_checkpoint

        return open_checkpoint(path, provider=provider, threads=threads)
    if path.suffix == ".engine":
        from lifeiqa.runtimes.tensorrt.session import TensorRTSession

        if not verify:
            require_verifiable(path)
        if provider not in (None, "cuda"):
            raise ConfigError(f"provider is {provider!r}, and {path.name} runs on a GPU alone")
        return TensorRTSession(path)
    raise ArtifactError(
        f"{path}: the ending {path.suffix!r} is no model file; "
        f".onnx, .safetensors and .engine are read"
    )
