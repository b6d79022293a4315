"""Figures of an evaluation: a scatter plot, and the agreement by kind of distortion.

They are drawn without pyplot, so no global state changes and no display is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lifeiqa.config import Labels
from lifeiqa.errors import require
from lifeiqa.evaluation.result import Evaluation, aligned
from lifeiqa.files import atomic_write
from lifeiqa.metrics import fit_logistic4

_POINTS, _CURVE, _GREY = "#33669a", "#c8402f", "#6b6b6b"


def write_figures(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write ``scatter.png``, and ``distortions.png`` if the table names distortions.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figures = {"scatter.png": scatter(evaluation)}
    if evaluation.per_distortion:
        figures["distortions.png"] = distortions(evaluation)
    for name, figure in figures.items():
        with atomic_write(folder / name) as temporary:
            figure.savefig(temporary, format="png", dpi=160)
    return [folder / name for name in figures]


def scatter(evaluation: Evaluation) -> Any:
    """Human against predicted scores, with the fitted 4-parameter curve (figure 7 of the paper).

    Returns:
        A `matplotlib.figure.Figure`.
    """
    predicted, human = np.asarray(evaluation.predicted), np.asarray(evaluation.table.scores)
    figures = evaluation.agreement
    figure, axes = _blank((5.4, 5.0))
    # With many images, smaller and fainter points keep the density visible.
    size, alpha = (16, 0.55) if len(human) <= 1000 else (6, 0.3)
    axes.scatter(predicted, human, s=size, alpha=alpha, color=_POINTS, linewidths=0)
    fit = fit_logistic4(evaluation.aligned, human)
    if fit.converged:
        grid = np.linspace(predicted.min(), predicted.max(), 256)
        curve = fit.predict(aligned(grid, evaluation.manifest, evaluation.table))
        axes.plot(grid, curve, color=_CURVE, linewidth=2, label="4-parameter logistic")
        axes.legend(frameon=False, loc="best")
    axes.set_xlabel(_scale("Predicted score", evaluation.manifest.labels))
    declared, name = evaluation.table.labels, evaluation.table.name
    axes.set_ylabel(_scale("Human score", declared) if declared else f"Human score of {name}")
    _title(
        axes,
        f"{evaluation.manifest.name} on {name}",
        f"n {figures.n}, SROCC {figures.srocc:.3f}, PLCC {figures.plcc:.3f} raw, "
        f"{figures.plcc_logistic4:.3f} fitted",
    )
    return figure


def distortions(evaluation: Evaluation) -> Any:
    """SROCC for each kind of distortion with its 95 % interval (figure 8 of the paper).

    Returns:
        A `matplotlib.figure.Figure`.
    """
    parts = evaluation.per_distortion
    names = [f"{kind}  (n {part.n})" for kind, part in parts.items()]
    values = np.array([part.srocc for part in parts.values()])
    figure, axes = _blank((6.4, 1.4 + 0.3 * len(names)))
    rows = np.arange(len(names))
    axes.barh(rows, values, height=0.68, color=_POINTS, alpha=0.85)
    for row, part in enumerate(parts.values()):
        if part.srocc_interval is not None:
            axes.plot(part.srocc_interval, (row, row), color="black", linewidth=1.2, zorder=3)
        if not np.isfinite(part.srocc):
            axes.text(0.01, row, "not defined", va="center", color=_GREY, fontsize=8)
    whole = evaluation.agreement.srocc
    axes.axvline(whole, color=_CURVE, linewidth=1.5)
    axes.set_yticks(rows, names)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first on top
    axes.set_xlim(min(0.0, axes.get_xlim()[0]), 1.0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("SROCC")
    black = f"; black: 95 % of {evaluation.resamples} resamples" if evaluation.resamples else ""
    _title(
        axes,
        f"{evaluation.manifest.name} on {evaluation.table.name}, by distortion",
        f"red: SROCC {whole:.3f} of all, n {len(evaluation.table)}{black}",
    )
    return figure


def _blank(size: tuple[float, float]) -> tuple[Any, Any]:
    figure_module = require("matplotlib.figure", extra="evaluation", purpose="a figure")
    figure = figure_module.Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _title(axes: Any, title: str, figures: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", pad=20)
    axes.text(0, 1.015, figures, transform=axes.transAxes, color=_GREY, fontsize=9)


def _scale(what: str, labels: Labels) -> str:
    return (
        f"{what} ({labels.dataset}, {labels.low:g} to {labels.high:g}, "
        f"{labels.direction} is better)"
    )
