"""Crops become scores: one runtime a package, each imported only when a file needs it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lifeiqa.errors import ConfigError

if TYPE_CHECKING:
    from lifeiqa.runtimes.base import Session


def open_session(
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    verify: bool = True,
    provider: str | None = None,
) -> Session:
    """Open a model file with a runtime that takes it; the file's manifest is checked first.

    Args:
        path: a ``.safetensors`` checkpoint (PyTorch), an ``.onnx`` model (ONNX Runtime or
            OpenVINO), an ``.engine`` (TensorRT), or a file of a runtime that is registered.
        runtime: name of a runtime, see `lifeiqa.runtimes.registry`; None takes the first that is
            available here, see `lifeiqa.runtimes.selection`. ``lifeiqa inspect`` lists them.
        device: ``"cpu"`` or ``"cuda"``; None takes CUDA where runtime and driver have it. What is
            named runs, or it is an error.
        threads: CPU threads for one run; None leaves it to the runtime.
        verify: whether a model that the sums of its manifest do not cover is refused; if not,
            ``session.manifest.verified`` tells. See `lifeiqa.artifacts.manifest.read_manifest`.
        provider: deprecated; see ``runtime`` and ``device``.

    Raises:
        ArtifactError: the file is missing, damaged, no model file, or not what its manifest says.
        EngineMismatchError: an engine was built for another TensorRT or another chip.
        MissingDependencyError: its runtime is not installed; the message says how to install it.
        DeviceError: CUDA is needed or was named, and there is no driver or no device, or it failed.
        ConfigError: runtime or device are unknown, not available or do not fit the file; or an
            engine was to be opened unverified.
    """
    from lifeiqa.artifacts.manifest import read_manifest
    from lifeiqa.runtimes.provider import without_provider
    from lifeiqa.runtimes.selection import choose, require_known, require_suffix

    path = Path(path)
    runtime, device = without_provider(provider, path.suffix, runtime, device, stacklevel=2)
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}: at least 1 is expected")
    require_known(runtime, device)
    require_suffix(path, runtime)
    manifest = read_manifest(path, verify=verify)
    chosen, where = choose(path, manifest, runtime=runtime, device=device)
    return chosen.open(path, manifest, device=where, threads=threads)
