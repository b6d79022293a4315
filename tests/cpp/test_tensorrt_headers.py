"""The TensorRT runtime compiles with NVIDIA's headers, where they are installed."""

import dataclasses
import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from helpers.c_interface import CLibrary, failure_of
from helpers.cpp_builds import CPP, build_with_tensorrt
from helpers.manifests import ENGINE
from lifeiqa.artifacts.manifest import write_with_sidecar

FAKES = Path(__file__).parent / "fake_tensorrt"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]


def cuda_include():
    """A folder with the real headers of the CUDA runtime, or None."""
    folders = [Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "include"]
    triton = importlib.util.find_spec("triton")  # its wheel contains the headers
    if triton is not None and triton.origin is not None:
        folders.append(Path(triton.origin).parent / "backends" / "nvidia" / "include")
    needed = ("cuda_runtime_api.h", "crt/host_defines.h")
    return next((f for f in folders if all((f / name).is_file() for name in needed)), None)


@pytest.mark.parametrize("options", [[], ["-DLIFEIQA_TENSORRT_RTX"]], ids=["TensorRT", "RTX"])
def test_it_compiles_with_the_headers_of_cuda(build, options):
    """CUDA's headers are real here, those of TensorRT are fake."""
    include = cuda_include()
    if include is None:
        pytest.skip("no headers of the CUDA runtime: install the CUDA toolkit, or set CUDA_HOME")
    folders = ["-isystem", include, "-isystem", FAKES, "-I", CPP / "include"]
    command = ["c++", "-std=c++17", "-fsyntax-only", *WARNINGS, *options, *folders]
    done = subprocess.run(
        [*command, CPP / "src" / "tensorrt.cpp", "-H"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(include / "cuda_runtime_api.h") in done.stderr
    assert str(FAKES / "cuda_runtime_api.h") not in done.stderr


def test_it_builds_with_the_headers_of_tensorrt(build, tmp_path):
    root = os.environ.get("TENSORRT_ROOT")
    if root is None:
        pytest.skip("TENSORRT_ROOT is not set: set it to the folder of TensorRT or TensorRT-RTX")
    library = CLibrary(build_with_tensorrt(Path(root), tmp_path / "build"))
    path = tmp_path / "model.engine"
    info = dataclasses.replace(ENGINE.engine, version="1.0")
    manifest = dataclasses.replace(ENGINE, engine=info)
    write_with_sidecar(path, manifest, lambda file: file.write_bytes(b"plan"))
    failure = failure_of(lambda: library.scorer(path).__enter__())
    # It is of another release, or of the other TensorRT.
    assert failure.kind in ("EngineMismatchError", "MissingDependencyError")
    assert "built without TensorRT" not in failure.message
