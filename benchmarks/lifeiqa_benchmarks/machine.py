"""What a measurement was made on: a figure without it says nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from lifeiqa import __version__
from lifeiqa.errors import DeviceError
from lifeiqa.preprocess.process_pool import cores
from lifeiqa.runtimes.cuda.driver import cuda_device
from lifeiqa.runtimes.registry import runtimes

_FLAGS = (
    *("sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw"),
    *("avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
)
"""Instruction sets that decide how fast matrix products are."""
_PACKAGES = ("numpy", "onnx")
"""Beside those of the runtimes."""


def machine() -> dict[str, Any]:
    """CPU, cores, memory, GPU, versions and the commit, as plain values for JSON."""
    info = _cpu_info()
    flags = set(info.get("flags", "").split())
    try:
        gpu: Any = vars(cuda_device())
    except DeviceError:
        gpu = None
    return {
        "cpu": info.get("model name") or platform.processor() or platform.machine(),
        "flags": [flag for flag in _FLAGS if flag in flags],
        "cores": cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load": [round(load, 2) for load in os.getloadavg()],
        "gpu": gpu,
        "system": platform.platform(),
        "python": platform.python_version(),
        "lifeiqa": __version__,
        "commit": _commit(),
        "packages": {
            name: version
            for name in dict.fromkeys(
                (*_PACKAGES, *(name for runtime in runtimes() for name in runtime.packages))
            )
            if (version := _version(name))
        },
    }


def _cpu_info() -> dict[str, str]:
    """The first processor of /proc/cpuinfo; empty where there is no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = text.split("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the sources, with a mark where they were changed; None outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    folder = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
