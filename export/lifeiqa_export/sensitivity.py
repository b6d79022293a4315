"""Which layers may be quantised: found by quantising each group of them alone, and measuring."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from lifeiqa.errors import ExportError
from lifeiqa.metrics import srocc
from lifeiqa.parity.report import Tolerance
from lifeiqa.runtimes.base import Array, Scores
from lifeiqa_export.calibration import Calibration, even_steps
from lifeiqa_export.quantise import RECIPE, layers_of, quantised, ranges_of, scores_of

MAX_GROUPS = 16
"""Groups of consecutive layers that are measured alone: bounds the time, whatever the network."""
ALONE = 16
"""Crops that a group is measured on alone; all layers together are measured on every crop."""


@dataclass(frozen=True)
class Group:
    """Consecutive layers, and what quantising them alone did to the scores.

    Drifts are shares of the label range.

    Attributes:
        layers: names of nodes.
        mean_drift: mean |difference| to the float32 scores.
        max_drift: the largest.
        kept: whether the layers stay in float32.
    """

    layers: tuple[str, ...]
    mean_drift: float
    max_drift: float
    kept: bool = False

    def __str__(self) -> str:
        last = f" to {self.layers[-1]}" if len(self.layers) > 1 else ""
        kept = "  kept in FP32" if self.kept else ""
        return (
            f"{self.layers[0]}{last} ({len(self.layers)}): "
            f"drift {self.mean_drift:.1e} in the mean, {self.max_drift:.1e} at most{kept}"
        )


@dataclass(frozen=True)
class Quantisation:
    """An INT8 graph, and the measurements that led to it.

    Attributes:
        proto: the graph.
        groups: in the order of the graph.
        mean_drift: of the whole graph on the calibration crops, as a share of the label range.
        max_drift: the largest there.
        srocc: rank correlation with float32 there.
        calibration: what the ranges were taken from.
    """

    proto: onnx.ModelProto
    groups: tuple[Group, ...]
    mean_drift: float
    max_drift: float
    srocc: float
    calibration: Calibration

    @property
    def kept(self) -> tuple[str, ...]:
        """Layers that could be quantised and stay in float32."""
        return tuple(layer for group in self.groups if group.kept for layer in group.layers)

    @property
    def layers(self) -> int:
        """Number of layers that compute in INT8."""
        return sum(len(group.layers) for group in self.groups if not group.kept)

    def to_dict(self) -> dict[str, Any]:
        """For a manifest."""
        return {
            "recipe": RECIPE,
            "layers": self.layers,
            "kept": list(self.kept),
            "groups": [
                {**dataclasses.asdict(group), "layers": list(group.layers)} for group in self.groups
            ],
            "on_calibration": {
                "mean_drift": self.mean_drift,
                "max_drift": self.max_drift,
                "srocc": self.srocc,
            },
            "calibration": self.calibration.to_dict(),
        }

    def __str__(self) -> str:
        worst = sorted(self.groups, key=lambda group: (-group.kept, -group.mean_drift))
        shown = [f"  {group}" for group in worst if group.kept or group in worst[:5]]
        kept = f"{len(self.kept)} kept in FP32" if self.kept else "none kept in FP32"
        return "\n".join(
            [
                f"{self.layers} layers in INT8, {kept}; on the {len(self.calibration.crops)} "
                f"calibration crops drift {self.mean_drift:.1e} in the mean, "
                f"{self.max_drift:.1e} at most, SROCC {self.srocc:.5f}. Quantised alone:",
                *shown,
            ]
        )


def quantise(
    proto: onnx.ModelProto,
    calibration: Calibration,
    *,
    span: float,
    tolerance: Tolerance,
    report: Callable[[str], None] = lambda _: None,
) -> Quantisation:
    """Quantise all layers but those that cost too much.

    Each group of layers is quantised alone, on at most `ALONE` crops. Then all are quantised
    together, and while that costs more than half the tolerance on the calibration crops, the
    group that cost most alone is given back to float32. Half, since other crops drift more than
    those that the ranges were taken from.

    Args:
        proto: the float32 graph.
        calibration: real crops.
        span: width of the label range.
        tolerance: what the whole may cost.
        report: takes a line for each step begun.

    Raises:
        ExportError: there is nothing to quantise, or half of the groups would have to stay.
    """
    layers = layers_of(proto)
    if not layers:
        raise ExportError("no layer of this network can be quantised: export fp32 or fp16")
    crops = calibration.crops
    few = crops[even_steps(len(crops), ALONE)]
    report(f"calibrating on {len(crops)} crops of {len(calibration.names)} images")
    ranges, exact = ranges_of(proto, crops), scores_of(proto, crops)
    reference = exact[even_steps(len(crops), ALONE)]
    parts = np.array_split(np.array(layers), min(MAX_GROUPS, len(layers)))
    groups = []
    for number, part in enumerate(parts, start=1):
        report(f"  quantising group {number} of {len(parts)} alone")
        names = tuple(str(name) for name in part)
        drift = _drift(reference, scores_of(quantised(proto, ranges, names), few), span)
        groups.append(Group(names, float(drift.mean()), float(drift.max())))
    return _together(
        proto, calibration, groups, ranges, exact, span=span, tolerance=tolerance, report=report
    )


def _together(
    proto: onnx.ModelProto,
    calibration: Calibration,
    groups: Sequence[Group],
    ranges: Any,
    exact: Scores,
    *,
    span: float,
    tolerance: Tolerance,
    report: Callable[[str], None],
) -> Quantisation:
    """Give groups back to float32, the most expensive first, until the whole is good enough."""
    groups = list(groups)
    by_cost = sorted(range(len(groups)), key=lambda i: (-groups[i].mean_drift, i))
    most_kept = len(groups) // 2
    for kept in range(most_kept + 1):
        if kept:
            index = by_cost[kept - 1]
            groups[index] = dataclasses.replace(groups[index], kept=True)
        report(f"  quantising all but {kept} of {len(groups)} groups")
        layers = [layer for group in groups if not group.kept for layer in group.layers]
        result = quantised(proto, ranges, layers)
        scores = scores_of(result, calibration.crops)
        drift, rank = _drift(exact, scores, span), srocc(exact, scores)
        found = Quantisation(
            result,
            tuple(groups),
            float(drift.mean()),
            float(drift.max()),
            rank,
            calibration,
        )
        if found.max_drift <= tolerance.drift / 2 and 1 - rank <= (1 - tolerance.srocc) / 2:
            return found
    raise ExportError(
        f"INT8 costs this network too much: with {most_kept} of {len(groups)} groups of layers "
        f"left in FP32 the drift is still {found.max_drift:.1e} and the SROCC {found.srocc:.5f}, "
        f"where half of {tolerance.drift:.1e} and of the way from 1 to {tolerance.srocc} were "
        f"allowed. Export fp16, or allow more with --tolerance int8=DRIFT or srocc=LOWEST"
    )


def _drift(exact: Scores, scores: Scores, span: float) -> Array:
    drift: Array = np.abs(scores.astype(np.float64) - exact) / span
    return drift
