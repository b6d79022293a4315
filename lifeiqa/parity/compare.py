"""The parity report of any two model files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.config import Preprocessing
from lifeiqa.errors import ConfigError
from lifeiqa.parity.observe import observe
from lifeiqa.parity.report import TOLERANCES, ParityReport, Tolerance, link
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes import open_session
from lifeiqa.runtimes.base import Session


def compare_files(
    first: Path,
    second: Path,
    crops_for: Callable[[Preprocessing, int], Pixels],
    *,
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
    rounding: bool = True,
    providers: tuple[str | None, str | None] = (None, None),
) -> ParityReport:
    """The parity report of two model files, from the first to the second.

    Args:
        first: the parent.
        second: the child; it must be fed as the parent is.
        crops_for: gives crops ``(n, S, S, 3)`` for the parent's preprocessing and crop size.
        tolerances: ``engine`` is taken where one of the two is an engine, else that of the lower
            precision.
        rounding: run FP16 graphs on a CPU with every FP16 tensor really rounded.
        providers: what runs the two, see `lifeiqa.open_session`; a file that has one runs as it
            comes. None is ONNX Runtime for an ONNX model, whatever else is installed: a report
            that names no runtime is about the files.

    Raises:
        ConfigError: the two differ in preprocessing, crop size or label range.
    """
    with (
        _open(first, rounding, providers[0]) as parent,
        _open(second, rounding, providers[1]) as child,
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
                    f"Parity is between two forms of one model"
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


def _open(path: Path, rounding: bool, provider: str | None) -> Session:
    if path.suffix != ".onnx" or provider is not None:
        return open_session(path, provider=provider)
    from lifeiqa.runtimes.onnxruntime.session import OnnxRuntimeSession

    if rounding and read_manifest(path).precision == "fp16":
        return OnnxRuntimeSession(path, provider="cpu", rounding=True)
    return OnnxRuntimeSession(path)
