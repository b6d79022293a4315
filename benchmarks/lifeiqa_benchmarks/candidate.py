"""What is measured: a model file in a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lifeiqa.errors import ConfigError
from lifeiqa.files import sha256_of
from lifeiqa.weights import bundled

RUNTIMES = {
    "pytorch": "PyTorch eager",
    "torch.compile": "torch.compile",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "tensorrt": "TensorRT",
}
"""Ways to run a model file, and their names for people."""
_BY_SUFFIX = {
    ".safetensors": ("pytorch", "torch.compile"),
    ".onnx": ("onnxruntime", "openvino"),
    ".engine": ("tensorrt",),
}


@dataclass(frozen=True)
class Candidate:
    """A model file in a runtime.

    Attributes:
        file: the model file.
        runtime: a key of `RUNTIMES`.
        device: ``"cpu"`` or ``"cuda"``.
        sha256: of the file.
        size: of the file, in bytes.
    """

    file: Path
    runtime: str
    device: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """What tables and comparisons call it: runtime and file name."""
        where = " on CUDA" if self.device == "cuda" and self.runtime != "tensorrt" else ""
        return f"{RUNTIMES[self.runtime]}{where}, {self.file.name}"


def candidates_from(
    models: Sequence[str],
    baseline: str,
    device: str = "cpu",
    only: Sequence[str] = tuple(RUNTIMES),
) -> list[Candidate]:
    """Every way to run the models that were named, the baseline first.

    Args:
        models: files, or names of bundled models, which stand for checkpoint and ONNX file.
        baseline: the runtime that all others are set against; its first file is taken.
        device: ``"cpu"``, or ``"cuda"``, where OpenVINO has no part.
        only: the runtimes to measure beside the baseline.

    Raises:
        ConfigError: a model is no file and no bundled name, or none of them runs in the baseline.
    """
    files = dict.fromkeys(file for model in models for file in _files(model))
    found = []
    for file in files:
        runtimes = _BY_SUFFIX.get(file.suffix)
        if runtimes is None:
            raise ConfigError(f"{file}: {', '.join(_BY_SUFFIX)} are measured")
        checksum, size = sha256_of(file), file.stat().st_size
        found += [
            Candidate(file, runtime, device, checksum, size)
            for runtime in runtimes
            if (runtime, device) != ("openvino", "cuda") and runtime in (*only, baseline)
        ]
    for candidate in found:
        if candidate.runtime == baseline:
            return [candidate, *(each for each in found if each != candidate)]
    raise ConfigError(
        f"the baseline is {baseline}, and no model runs in it: "
        f"{', '.join(each.name for each in found)}"
    )


def _files(model: str) -> list[Path]:
    path = Path(model)
    if path.is_file():
        return [path]
    pair = [bundled(model, suffix) for suffix in (".safetensors", ".fp32.onnx")]
    files = [file for file in pair if file is not None]
    if not files:
        raise ConfigError(f"{model}: neither a file nor the name of a bundled model")
    return files
