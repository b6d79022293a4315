"""The result of an evaluation: as text, as JSON, and as a CSV of predictions."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.config import Direction
from lifeiqa.data.table import Table, write_columns
from lifeiqa.evaluation.bootstrap import Interval
from lifeiqa.metrics import Agreement, FloatArray
from lifeiqa.text import printable

TITLES = {
    "srocc": "SROCC",
    "krcc": "KRCC",
    "plcc": "PLCC raw",
    "plcc_logistic4": "PLCC logistic 4",
    "plcc_logistic5": "PLCC logistic 5",
    "rmse": "RMSE logistic 4",
}
"""The figures of an `Agreement`, in the order of the report."""


@dataclass(frozen=True)
class DistortionAgreement:
    """Agreement on the images of one kind of distortion.

    Attributes:
        n: number of images.
        srocc: Spearman's rank correlation.
        plcc: Pearson's correlation of the raw scores.
        srocc_interval: bootstrap interval of SROCC; None without resamples.
    """

    n: int
    srocc: float
    plcc: float
    srocc_interval: Interval | None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Predicted against human scores, and what is needed to interpret the figures.

    Attributes:
        manifest: of the model.
        runtime: what ran the model.
        crops: the crop plan.
        table: the images with their human scores.
        predicted: score of each image, in the model's label units.
        protocol: which images these are, and whether the model was trained on them.
        agreement: of the human scores with the predictions, aligned in direction.
        intervals: 95 % bootstrap intervals by figure; empty without resamples.
        resamples: number of resamples; 0 for none.
        per_distortion: by kind, in the order of the table; empty if the table names no kinds.
    """

    manifest: Manifest
    runtime: str
    crops: str
    table: Table
    predicted: tuple[float, ...]
    protocol: str
    agreement: Agreement
    intervals: dict[str, Interval]
    resamples: int
    per_distortion: dict[str, DistortionAgreement]

    @property
    def direction(self) -> Direction:
        """Direction of the human scores; that of the model if the table declares none."""
        return (self.table.labels or self.manifest.labels).direction

    @property
    def aligned(self) -> FloatArray:
        """The predictions ``(n,)``, signed so that a good model correlates positively."""
        return aligned(self.predicted, self.manifest, self.table)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the predictions. NaN becomes None."""
        figures = dataclasses.asdict(self.agreement)
        values = {
            "model": self.manifest.name,
            "sha256": self.manifest.sha256,
            "runtime": self.runtime,
            "crops": self.crops,
            "table": self.table.name,
            "protocol": self.protocol,
            "direction": self.direction,
            "direction_declared": self.table.labels is not None,
            "model_direction": self.manifest.labels.direction,
            **figures,
            "intervals": {name: list(bounds) for name, bounds in self.intervals.items()},
            "resamples": self.resamples,
            "resampled": _resampled(self.table),
            "per_distortion": {
                kind: dataclasses.asdict(part) for kind, part in self.per_distortion.items()
            },
        }
        finite: dict[str, Any] = _without_nan(values)
        return finite

    def __str__(self) -> str:
        manifest, table = self.manifest, self.table
        lines = [
            f"{manifest.name} on {table.name}, n {self.agreement.n}",
            f"protocol   {self.protocol}",
            f"direction  {_direction(self)}",
            f"model      {manifest.kind} {manifest.precision}, {self.runtime}, crops {self.crops}, "
            f"sha256 {manifest.sha256}",
            "",
        ]
        lines += _aligned_columns(_figure_rows(self))
        if self.per_distortion:
            lines += ["", *_aligned_columns(_distortion_rows(self.per_distortion))]
        if self.agreement.notes:
            lines += ["", *(f"note  {note}" for note in self.agreement.notes)]
        return "\n".join(lines)


def aligned(predicted: npt.ArrayLike, manifest: Manifest, table: Table) -> FloatArray:
    """Predictions ``(n,)``, negated if the model and the table differ in direction."""
    labels = table.labels or manifest.labels
    sign = 1.0 if labels.direction == manifest.labels.direction else -1.0
    return sign * np.asarray(predicted, dtype=np.float64)


def write_predictions(evaluation: Evaluation, path: Path) -> None:
    """Write a CSV with a row for each image: path, both scores, reference and distortion."""
    table = evaluation.table
    columns = {
        "path": [printable(path) for path in table.paths],
        "predicted": evaluation.predicted,
        "human": table.scores,
        "reference": table.references,
        "distortion": table.distortions,
    }
    write_columns(path, columns)


def _direction(evaluation: Evaluation) -> str:
    name, learned = evaluation.table.name, evaluation.manifest.labels
    if evaluation.table.labels is None:
        return f"{learned.direction} is better, as for the model: {name} declares none"
    if evaluation.direction == learned.direction:
        return f"{learned.direction} is better, for {name} and for the model"
    return (
        f"{evaluation.direction} is better for {name}, {learned.direction} for the model: "
        f"its scores are negated"
    )


def _resampled(table: Table) -> str:
    return "images" if table.references is None else "references"


def _figure_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    head = ""
    if evaluation.intervals:
        head = f"95 % of {evaluation.resamples} resamples of {_resampled(evaluation.table)}"
    rows: list[tuple[str, ...]] = [("", "", head)]
    for name, title in TITLES.items():
        value = getattr(evaluation.agreement, name)
        rows.append((title, f"{value:.4f}", _bounds(evaluation.intervals.get(name))))
    return rows


def _distortion_rows(parts: dict[str, DistortionAgreement]) -> list[tuple[str, ...]]:
    return [
        ("distortion", "n", "SROCC", "95 %", "PLCC raw"),
        *(
            (
                kind,
                str(part.n),
                f"{part.srocc:.4f}",
                _bounds(part.srocc_interval),
                f"{part.plcc:.4f}",
            )
            for kind, part in parts.items()
        ),
    ]


def _bounds(bounds: Interval | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.4f} .. {bounds[1]:.4f}"


def _aligned_columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
