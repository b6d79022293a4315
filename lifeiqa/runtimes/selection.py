"""What runs a model file for who does not ask for a provider, and how that is told."""

from __future__ import annotations

from typing import Any

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.artifacts.tensorrt_flavours import flavour_named
from lifeiqa.config import Provider
from lifeiqa.errors import DeviceError, MissingDependencyError, installed, require
from lifeiqa.runtimes.cuda.driver import cuda_device
from lifeiqa.runtimes.onnxruntime.providers import cuda_is_here
from lifeiqa.runtimes.openvino.library import load_openvino


def preferred_provider() -> Provider | None:
    """What runs an ONNX model for who does not ask; None leaves it to ONNX Runtime.

    OpenVINO where it is installed, unless ONNX Runtime can run on a GPU here.
    """
    if not installed("openvino"):
        return None
    return "cuda" if cuda_is_here() else "openvino"


def runs_with(manifest: Manifest) -> str:
    """What `lifeiqa.open_session` takes for a file here, or what it would miss; for people.

    Nothing is loaded of the file, and of PyTorch and TensorRT nothing either.
    """
    try:
        if manifest.kind == "onnx":
            return _onnx()
        if manifest.engine is not None:
            return _engine(manifest.engine.flavour)
    except (DeviceError, MissingDependencyError) as error:
        return f"nothing here: {error}"
    if installed("torch"):
        return "PyTorch"
    return "nothing here: PyTorch is not installed. Install it: pip install 'lifeiqa[export]'"


def _onnx() -> str:
    purpose = "an ONNX model"
    if preferred_provider() == "openvino":
        from lifeiqa.runtimes.openvino.session import openvino_words

        others = "; --provider cpu takes ONNX Runtime" if installed("onnxruntime") else ""
        return openvino_words(load_openvino(purpose)) + others
    ort: Any = require("onnxruntime", extra="cpu", purpose=purpose)
    return f"ONNX Runtime {ort.__version__} {'CUDA' if cuda_is_here() else 'CPU'}"


def _engine(name: str) -> str:
    flavour = flavour_named(name)
    if not installed(flavour.module):
        return (
            f"nothing here: {flavour.title} is not installed. "
            f"Install it: pip install 'lifeiqa[{flavour.name}]'"
        )
    return f"{flavour.title} on {cuda_device().name}"
