"""OpenVINO, on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lifeiqa.runtimes.entry import Availability, Runtime
from lifeiqa.runtimes.openvino.library import load_openvino, openvino_words

if TYPE_CHECKING:
    from lifeiqa.artifacts.manifest import Manifest
    from lifeiqa.runtimes.base import Session


def _available(device: str) -> Availability:
    return Availability.of(lambda: openvino_words(load_openvino("an ONNX model")))


def _open(path: Path, manifest: Manifest, *, device: str, threads: int | None) -> Session:
    from lifeiqa.runtimes.openvino.session import OpenVINOSession

    return OpenVINOSession(path, manifest, threads=threads)


RUNTIME = Runtime(
    name="openvino",
    title="OpenVINO",
    suffixes=(".onnx",),
    devices=("cpu",),
    install="pip install 'lifeiqa[openvino]'",
    available=_available,
    open=_open,
    packages=("openvino",),
)
