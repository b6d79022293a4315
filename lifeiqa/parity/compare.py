"""The parity report of any two model files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.config import Preprocessing
from lifeiqa.errors import ConfigError
from lifeiqa.parity.observe import observe
from lifeiqa.parity.report import TOLERANCES, ParityReport, Tolerance, link
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes import onnxruntime, open_session
from lifeiqa.runtimes.base import Session

Run: TypeAlias = tuple[str | None, str | None]
"""Name of a runtime, and of a device; None is the choice of `lifeiqa.open_session`."""


def compare_files(
    first: Path,
    second: Path,
    crops_for: Callable[[Preprocessing, int], Pixels],
    *,
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
    rounding: bool = True,
    runs: tuple[Run, Run] = ((None, None), (None, None)),
) -> ParityReport:
    """The parity report of two model files, from the first to the second.

    Args:
        first: the parent.
        second: the child; it must be fed as the parent is.
        crops_for: returns crops ``(n, S, S, 3)`` for the parent's preprocessing and crop size.
        tolerances: that of ``engine`` is used if one of the two is an engine, else that of the
            lower precision.
        rounding: run FP16 graphs on a CPU with every FP16 tensor really rounded.
        runs: runtime and device of the two, see `lifeiqa.open_session`. A file that has either
            runs as it comes. An ONNX model without a runtime runs in ONNX Runtime, whatever else
            is installed: a report that names no runtime is about the files.

    Raises:
        ConfigError: the two differ in preprocessing, crop size or label range.
    """
    with (
        _open(first, rounding, runs[0]) as parent,
        _open(second, rounding, runs[1]) as child,
    ):
        ours, theirs = parent.manifest, child.manifest
        for what, a, b in (
            ("crop size", ours.config.crop_size, theirs.config.crop_size),
            ("preprocessing", ours.preprocessing, theirs.preprocessing),
            ("labels", ours.labels, theirs.labels),
        ):
            if a != b:
                raise ConfigError(
                    f"{first.name} and {second.name} differ in {what}: {a} against {b}. "
                    f"Compare two forms of one model"
                )
        crops = crops_for(ours.preprocessing, ours.config.crop_size)
        both = (ours.precision, theirs.precision)
        precision = max(both, key=("fp32", "fp16", "int8").index)  # the coarser of the two
        changed = "engine" if "engine" in (ours.kind, theirs.kind) else precision
        observed = [observe(session, crops) for session in (parent, child)]
    name = f"{first.name} -> {second.name}"
    return ParityReport(
        f"parity on {len(crops)} crops; from {observed[0].runtime}",
        (link(name, observed[0], observed[1], tolerances[changed]),),
    )


def _open(path: Path, rounding: bool, run: Run) -> Session:
    runtime, device = run
    if path.suffix not in onnxruntime.RUNTIME.suffixes or runtime is not None:
        return open_session(path, runtime=runtime, device=device)
    if device is not None:
        return open_session(path, runtime=onnxruntime.RUNTIME.name, device=device)
    from lifeiqa.runtimes.onnxruntime.session import OnnxRuntimeSession

    manifest = read_manifest(path)
    if rounding and manifest.precision == "fp16":
        return OnnxRuntimeSession(path, manifest, device="cpu", rounding=True)
    return OnnxRuntimeSession(path, manifest)
