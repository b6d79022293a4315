"""The report of a run: what was measured, as data; tables and pages are made from it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lifeiqa.errors import ArtifactError
from lifeiqa_benchmarks.turns import Timing

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How far the scores of a candidate are from the baseline's, and from people's.

    Attributes:
        n: crops that both scored.
        max_drift: largest difference, as a share of the label range.
        mean_drift: its mean.
        srocc: rank correlation with the baseline.
        human_srocc: rank correlation with human scores; None where there were none.
        human_n: images with human scores.
    """

    n: int
    max_drift: float
    mean_drift: float
    srocc: float
    human_srocc: float | None = None
    human_n: int = 0


@dataclass(frozen=True, kw_only=True)
class Stages:
    """Where the time of an image goes, in ms an image.

    Attributes:
        single: of each stage, every image by itself.
        folder: of each stage, crops gathered across images into batches.
    """

    single: dict[str, float]
    folder: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One candidate.

    Attributes:
        name: runtime and file.
        runtime: in the runtime's own words; empty where it could not be opened.
        sha256: of the model file.
        size_bytes: of the model file.
        load_s: from the start of a process until the session was open.
        first_score_s: until the first crop was scored.
        peak_bytes: most resident memory of its process.
        timings: one a batch size.
        accuracy: against the baseline; None for a candidate that failed before.
        stages: None for a candidate that failed before.
        failed: why it could not be measured, or measured no further.
    """

    name: str
    runtime: str = ""
    sha256: str
    size_bytes: int
    load_s: float | None = None
    first_score_s: float | None = None
    peak_bytes: int | None = None
    timings: tuple[Timing, ...] = ()
    accuracy: Accuracy | None = None
    stages: Stages | None = None
    failed: str | None = None

    def timing(self, batch: int) -> Timing | None:
        """That of one batch size."""
        return next((each for each in self.timings if each.batch == batch), None)


@dataclass(frozen=True, kw_only=True)
class Report:
    """A whole run; the first result is the baseline.

    Attributes:
        machine: see `lifeiqa_benchmarks.machine`.
        settings: batch sizes, threads, seconds, and what accuracy was measured on.
        results: one a candidate.
        flops_per_crop: of matrix products and convolutions, 2 a multiply-add; None if not counted.
        peak_flops: best float32 matrix product of this machine in this run, with those threads.
        starts: seconds of cold processes, see `lifeiqa_benchmarks.starts`; empty if not measured.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    results: tuple[Result, ...]
    flops_per_crop: float | None = None
    peak_flops: float | None = None
    starts: dict[str, float] = field(default_factory=dict)
    format: int = field(default=FORMAT)

    @property
    def baseline(self) -> Result:
        """What the ratios are to."""
        return self.results[0]

    def share_of_peak(self, timing: Timing) -> float | None:
        """Of the machine's matrix product, how much a candidate reaches."""
        if self.flops_per_crop is None or not self.peak_flops:
            return None
        return timing.throughput * self.flops_per_crop / self.peak_flops

    def to_json(self) -> str:
        """JSON text; `from_json` reads it."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["results"] = [_plain(result) for result in self.results]
        return json.dumps({"format": FORMAT, **values}, indent=1) + "\n"

    @classmethod
    def from_json(cls, path: Path) -> Report:
        """Read a report.

        Raises:
            ArtifactError: it is missing or no such report.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.get("format") != FORMAT:
                raise ValueError(f"it is no report of format {FORMAT}")
            values["results"] = tuple(_result(each) for each in values["results"])
            return cls(**values)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{path}: not a report of lifeiqa-bench: {error}") from error


def _plain(result: Result) -> dict[str, Any]:
    values = {each.name: getattr(result, each.name) for each in dataclasses.fields(result)}
    values["timings"] = [timing.to_dict() for timing in result.timings]
    for name in ("accuracy", "stages"):
        if values[name] is not None:
            values[name] = dataclasses.asdict(values[name])
    return values


def _result(values: dict[str, Any]) -> Result:
    timings = tuple(Timing.from_dict(each) for each in values.pop("timings"))
    accuracy, stages = values.pop("accuracy"), values.pop("stages")
    return Result(
        **values,
        timings=timings,
        accuracy=None if accuracy is None else Accuracy(**accuracy),
        stages=None if stages is None else Stages(**stages),
    )
