"""What is measured: a model file in a runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lifeiqa.artifacts.manifest import Manifest, read_manifest
from lifeiqa.errors import ConfigError
from lifeiqa.runtimes import pytorch
from lifeiqa.runtimes.registry import runtime_named, runtime_names
from lifeiqa.runtimes.selection import candidates, require_suffix
from lifeiqa.weights import bundled

COMPILED = "torch.compile"
"""PyTorch with its compiler: measured as if it were a runtime of its own."""
EAGER = pytorch.RUNTIME.name
_TITLES = {EAGER: "PyTorch eager", COMPILED: COMPILED}


def measured_names() -> tuple[str, ...]:
    """Every runtime, and `COMPILED`."""
    return (*runtime_names(), COMPILED)


@dataclass(frozen=True)
class Candidate:
    """A model file in a runtime.

    Attributes:
        file: the model file.
        runtime: one of `measured_names`.
        device: ``"cpu"`` or ``"cuda"``.
        manifest: of the file.
        size: of the file, in bytes.
    """

    file: Path
    runtime: str
    device: str
    manifest: Manifest
    size: int

    @property
    def name(self) -> str:
        """What tables and comparisons call it: runtime and file name."""
        runtime = runtime_named(EAGER if self.runtime == COMPILED else self.runtime)
        where = " on CUDA" if self.device == "cuda" and len(runtime.devices) > 1 else ""
        return f"{_TITLES.get(self.runtime, runtime.title)}{where}, {self.file.name}"


def candidates_from(
    models: Sequence[str],
    baseline: str = EAGER,
    device: str = "cpu",
    only: Sequence[str] | None = None,
) -> list[Candidate]:
    """Every way to run the models that were named, the baseline first.

    Args:
        models: files, or names of bundled models, which stand for checkpoint and ONNX file.
        baseline: the runtime that all others are set against; its first file is taken.
        device: ``"cpu"`` or ``"cuda"``. A runtime that does not run there has no part, unless
            no runtime of its file does: an engine is measured on the GPU in any case.
        only: the runtimes to measure beside the baseline; None takes all.

    Raises:
        ConfigError: a model is no file and no bundled name, or none of them runs in the baseline.
        ArtifactError: a file is not a model file, or not what its manifest says.
    """
    files = dict.fromkeys(file for model in models for file in _files(model))
    found = []
    for file in files:
        require_suffix(file)
        manifest, size = read_manifest(file), file.stat().st_size
        found += [
            Candidate(file, name, where, manifest, size)
            for name, where in _ways(file, manifest, device)
            if only is None or name in (*only, baseline)
        ]
    for candidate in found:
        if candidate.runtime == baseline:
            return [candidate, *(each for each in found if each != candidate)]
    raise ConfigError(
        f"the baseline is {baseline}, and no model runs in it: "
        f"{', '.join(each.name for each in found)}"
    )


def _ways(file: Path, manifest: Manifest, device: str) -> list[tuple[str, str]]:
    """Runtimes that take a file, and the device of each."""
    takers = candidates(file, manifest)
    ways = [(runtime.name, where) for runtime, where in takers if where == device] or [
        (runtime.name, where) for runtime, where in takers
    ]
    eager = [where for name, where in ways if name == EAGER]
    return ways + [(COMPILED, where) for where in eager]


def _files(model: str) -> list[Path]:
    path = Path(model)
    if path.is_file():
        return [path]
    pair = [bundled(model, suffix) for suffix in (".safetensors", ".fp32.onnx")]
    files = [file for file in pair if file is not None]
    if not files:
        raise ConfigError(f"{model}: neither a file nor the name of a bundled model")
    return files
