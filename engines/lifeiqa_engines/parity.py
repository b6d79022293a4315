"""What compiling cost: an engine against the file it was made from, on the GPU that it is for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from lifeiqa.artifacts.manifest import sidecar_of, sidecar_text
from lifeiqa.config import Preprocessing
from lifeiqa.errors import DeviceError, EngineMismatchError, MissingDependencyError, ParityError
from lifeiqa.files import atomic_write
from lifeiqa.parity.compare import compare_files
from lifeiqa.parity.report import TOLERANCES, ParityReport, Tolerance
from lifeiqa.preprocess.decode import Pixels
from lifeiqa_engines.build import EnginePath


@dataclasses.dataclass(frozen=True)
class NotMeasured:
    """An engine that cannot run on this machine, and why."""

    reason: str

    def __str__(self) -> str:
        return f"engine parity: not measured ({self.reason})"


def prove_engine(
    engine: EnginePath,
    reference: Path,
    crops_for: Callable[[Preprocessing, int], Pixels],
    *,
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
    keep_failed: bool = False,
) -> ParityReport | NotMeasured:
    """Compare an engine with its parent, where it can run, and write the result to its manifest.

    Args:
        engine: as it was built.
        reference: the checkpoint or ONNX file that it comes from.
        crops_for: gives crops ``(n, S, S, 3)`` for a preprocessing and a crop size.
        tolerances: that of ``engine`` is taken.
        keep_failed: leave an engine that fails in place.

    Returns:
        The report, or why there is none: no driver, another chip, or a package is missing.

    Raises:
        ParityError: it drifted by more than the tolerance. It was removed, unless kept on request.
    """
    try:
        report = compare_files(reference, engine.path, crops_for, tolerances=tolerances)
    except (DeviceError, EngineMismatchError, MissingDependencyError) as error:
        return NotMeasured(str(error))
    sidecar = sidecar_of(engine.path)
    if not report and not keep_failed:
        engine.path.unlink()
        sidecar.unlink()
        raise ParityError(f"{engine.path} was removed.\n{report}")
    links = (*engine.manifest.parity, *report.to_dicts())
    with atomic_write(sidecar) as temporary:
        text = sidecar_text(dataclasses.replace(engine.manifest, parity=links))
        temporary.write_text(text, encoding="utf-8")
    if not report:
        raise ParityError(f"{engine.path} was kept although it failed.\n{report}")
    return report
