"""What only a GPU can show. Skipped with the reason where there is none; see `make test-gpu`.

With ``LIFEIQA_GPU_REPORT=FILE`` the outcome of every test and what it measured are written to FILE,
which says which machine it was and can be sent to us.
"""

import importlib.metadata
import json
import os
import platform
from dataclasses import asdict
from pathlib import Path

import pytest

from lifeiqa import __version__
from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.config import ModelConfig
from lifeiqa.data.images import parity_crops
from lifeiqa.errors import ConfigError, DeviceError, MissingDependencyError
from lifeiqa.runtimes.cuda.driver import cuda_device
from lifeiqa.runtimes.tensorrt.library import LIBRARIES
from lifeiqa.weights import bundled

PACKAGES = (
    *("torch", "onnx", "onnxruntime", "onnxruntime-gpu", "numpy", "cuda-bindings", "pycuda"),
    *("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "tensorrt-rtx"),
)
measured = {}
outcomes = {}


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome == "skipped":
        reason = report.longrepr[2] if report.outcome == "skipped" else report.longreprtext
        outcomes[report.nodeid] = {"outcome": report.outcome, "reason": reason[-2000:]}


def pytest_sessionfinish():
    path = os.environ.get("LIFEIQA_GPU_REPORT")
    if path is None:
        return
    try:
        device = asdict(cuda_device())
    except DeviceError as error:
        device = str(error)
    report = {
        "lifeiqa": __version__,
        "device": device,
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: version for name in PACKAGES if (version := version_of(name))},
        "measured": measured,
        "tests": outcomes,
    }
    Path(path).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


@pytest.fixture(scope="session")
def gpu():
    """The GPU, or a skip with the reason that there is none."""
    try:
        return cuda_device()
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def checkpoint():
    return bundled("fast", ".safetensors")


@pytest.fixture(scope="session")
def crops(checkpoint):
    """The exporter's own crops: photographs, whole and distorted."""
    from lifeiqa_export.photographs import photographs

    manifest = read_manifest(checkpoint)
    config: ModelConfig = manifest.config
    return parity_crops(photographs(), manifest.preprocessing, config.crop_size, distort=True)


@pytest.fixture(scope="session")
def onnx(gpu, checkpoint, tmp_path_factory):
    """The bundled checkpoint as FP16, by the real exporter."""
    from lifeiqa_export import export_checkpoint

    folder = tmp_path_factory.mktemp("onnx")
    return export_checkpoint(checkpoint, folder, precision="fp16").path


@pytest.fixture(scope="session", params=list(LIBRARIES))
def engine(request, gpu, onnx, tmp_path_factory):
    """An engine of each TensorRT that is installed and builds for this GPU."""
    from lifeiqa.artifacts.engine_info import BatchProfile
    from lifeiqa_engines import engine_from_onnx

    profiles = [BatchProfile.parse(text) for text in ("1", "8", "2:16:32")]
    folder = tmp_path_factory.mktemp("engine")
    try:
        return engine_from_onnx(onnx, folder, runtime=request.param, profiles=profiles)
    except (MissingDependencyError, ConfigError) as error:
        pytest.skip(str(error))


@pytest.fixture
def note(request):
    """Write a measurement into the report."""

    def write(**values):
        measured[request.node.name] = values
        print(request.node.name, values)

    return write
