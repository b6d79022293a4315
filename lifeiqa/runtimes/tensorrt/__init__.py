"""TensorRT and TensorRT-RTX: two runtimes over one code path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lifeiqa.errors import MissingDependencyError, installed
from lifeiqa.runtimes.cuda.driver import cuda_device
from lifeiqa.runtimes.entry import Availability, Runtime
from lifeiqa.runtimes.tensorrt.library import LIBRARIES, Library

if TYPE_CHECKING:
    from lifeiqa.artifacts.manifest import Manifest
    from lifeiqa.runtimes.base import Session


def _open(path: Path, manifest: Manifest, *, device: str, threads: int | None) -> Session:
    from lifeiqa.runtimes.tensorrt.session import TensorRTSession

    return TensorRTSession(path, manifest)


def _runtime(library: Library) -> Runtime:
    install = f"pip install 'lifeiqa[{library.name}]'"

    def words() -> str:
        if not installed(library.module):
            raise MissingDependencyError(
                f"{library.title} is not installed. Install it: {install}", name=library.module
            )
        return f"{library.title} on {cuda_device().name}"

    return Runtime(
        name=library.name,
        title=library.title,
        suffixes=(".engine",),
        devices=("cuda",),
        install=install,
        available=lambda device: Availability.of(words),
        open=_open,
        packages=(library.name, "cuda-bindings"),
    )


RUNTIMES = tuple(map(_runtime, LIBRARIES.values()))
