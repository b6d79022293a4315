"""Builds of engines/cpp that tests make themselves."""

import subprocess
from pathlib import Path

CPP = Path(__file__).parents[2] / "engines" / "cpp"


def build_with_tensorrt(root, folder):
    """Build the library with TensorRT alone, and with warnings as errors.

    Args:
        root: folder of a release of TensorRT or TensorRT-RTX, or a fake one.
        folder: where to build.

    Returns:
        Path of the shared library.
    """
    options = [f"-DTENSORRT_ROOT={root}", "-DLIFEIQA_DECODING=OFF", "-DLIFEIQA_WERROR=ON"]
    configure = ["cmake", "-S", CPP, "-B", folder, "-DCMAKE_BUILD_TYPE=Debug", *options]
    for command in (configure, ["cmake", "--build", folder, "-j2"]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "liblifeiqa.so"
