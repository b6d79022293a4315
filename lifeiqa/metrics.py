"""Agreement between scores: SROCC, KRCC, PLCC raw and after a logistic fit, RMSE.

The logistic curves are those of the field: a metric is free in its scale, so that it is mapped to
the human scores by a monotone curve before their linear agreement is measured. Published PLCCs mix
raw and fitted ones; here each has its name. SciPy computes; see the extras of the package.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lifeiqa.errors import ConfigError, require

FloatArray = npt.NDArray[np.float64]
Parameters = tuple[float, ...]

_EVALUATIONS = 10_000


def srocc(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Spearman's rank correlation, average ranks for ties; NaN when either side is constant."""
    return _correlation("spearmanr", x, y)


def plcc(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Pearson's linear correlation of the raw scores, no fit; NaN when either side is constant."""
    return _correlation("pearsonr", x, y)


def krcc(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Kendall's tau-b; NaN when either side is constant."""
    return _correlation("kendalltau", x, y)


def logistic4(x: FloatArray, b1: float, b2: float, b3: float, b4: float) -> FloatArray:
    """``(b1 - b2) / (1 + exp(-(x - b3) / |b4|)) + b2``."""
    return (b1 - b2) * (1 + _tanh_half((x - b3) / abs(b4))) / 2 + b2


def logistic5(x: FloatArray, b1: float, b2: float, b3: float, b4: float, b5: float) -> FloatArray:
    """``b1 (1/2 - 1 / (1 + exp(b2 (x - b3)))) + b4 x + b5``."""
    return b1 * _tanh_half(b2 * (x - b3)) / 2 + b4 * x + b5


@dataclass(frozen=True)
class Fit:
    """A curve from predicted to human scores, fitted by least squares.

    Attributes:
        curve: `logistic4` or `logistic5`.
        parameters: ``b1, b2, ...`` of the curve, in the units of the scores; empty without a fit.
        reason: why there is no fit; None where there is one.
    """

    curve: Callable[..., FloatArray]
    parameters: Parameters
    reason: str | None = None

    @property
    def converged(self) -> bool:
        """Whether there is a fit."""
        return self.reason is None

    def predict(self, x: npt.ArrayLike) -> FloatArray:
        """The human scores that the curve expects, of the shape of ``x``; NaN without a fit."""
        values = np.asarray(x, dtype=np.float64)
        if not self.converged:
            return np.full(values.shape, math.nan)
        with np.errstate(over="ignore", divide="ignore"):  # a step, whose slope has no end
            return self.curve(values, *self.parameters)


def fit_logistic4(x: npt.ArrayLike, y: npt.ArrayLike) -> Fit:
    """Fit `logistic4`, from the start max y, min y, mean x, std(x) / 4.

    Raises:
        ConfigError: the two differ in length or hold fewer than two scores.
    """

    def start(u: FloatArray, v: FloatArray) -> Parameters:
        return v.max(), v.min(), u.mean(), u.std() / 4

    def in_units(b: Parameters, x0: float, sx: float, y0: float, sy: float) -> Parameters:
        b1, b2, b3, b4 = b
        return y0 + sy * b1, y0 + sy * b2, x0 + sx * b3, sx * abs(b4)

    return _fit(logistic4, start, in_units, x, y)


def fit_logistic5(x: npt.ArrayLike, y: npt.ArrayLike) -> Fit:
    """Fit `logistic5`, from the start max y - min y, 1 / std(x), mean x, 0, mean y.

    Raises:
        ConfigError: the two differ in length or hold fewer than two scores.
    """

    def start(u: FloatArray, v: FloatArray) -> Parameters:
        return np.ptp(v), 1 / u.std(), u.mean(), 0.0, v.mean()

    def in_units(b: Parameters, x0: float, sx: float, y0: float, sy: float) -> Parameters:
        b1, b2, b3, b4, b5 = b
        slope = sy * b4 / sx
        return sy * b1, b2 / sx, x0 + sx * b3, slope, y0 + sy * b5 - slope * x0

    return _fit(logistic5, start, in_units, x, y)


@dataclass(frozen=True)
class Agreement:
    """Predicted against human scores.

    A figure that is not defined is NaN, and `notes` says why.

    Attributes:
        n: number of images.
        srocc: Spearman's rank correlation.
        krcc: Kendall's tau-b.
        plcc: Pearson's correlation of the raw scores.
        plcc_logistic4: Pearson's correlation after `fit_logistic4`.
        plcc_logistic5: Pearson's correlation after `fit_logistic5`.
        rmse: root mean square difference after `fit_logistic4`, in the units of the human scores.
        notes: why a figure is NaN, and what else a reader should know.
    """

    n: int
    srocc: float
    krcc: float
    plcc: float
    plcc_logistic4: float
    plcc_logistic5: float
    rmse: float
    notes: tuple[str, ...] = ()


def agreement(predicted: npt.ArrayLike, human: npt.ArrayLike) -> Agreement:
    """All figures of `Agreement` at once.

    Args:
        predicted: ``(n,)``, where higher means what it means in ``human``.
        human: ``(n,)``.

    Raises:
        ConfigError: the two differ in length or hold fewer than two scores.
    """
    x, y = _pair(predicted, human)
    fits = {"logistic 4": fit_logistic4(x, y), "logistic 5": fit_logistic5(x, y)}
    four, five = (fit.predict(x) for fit in fits.values())
    raw = plcc(x, y)
    notes = [f"{name}: no fit, {fit.reason}" for name, fit in fits.items() if fit.reason]
    for side, scores in (("predicted", x), ("human", y)):
        if np.ptp(scores) == 0:
            notes.append(f"no correlation: every {side} score is {scores[0]:g}")
    if raw < 0:
        notes.append("PLCC is negative: a fitted curve hides the sign, judge by SROCC")
    return Agreement(
        n=len(x),
        srocc=srocc(x, y),
        krcc=krcc(x, y),
        plcc=raw,
        plcc_logistic4=plcc(four, y),
        plcc_logistic5=plcc(five, y),
        rmse=float(np.sqrt(np.mean((four - y) ** 2))),
        notes=tuple(notes),
    )


def _fit(
    curve: Callable[..., FloatArray],
    start: Callable[[FloatArray, FloatArray], Parameters],
    in_units: Callable[[Parameters, float, float, float, float], Parameters],
    x: npt.ArrayLike,
    y: npt.ArrayLike,
) -> Fit:
    """Least squares by Levenberg-Marquardt, on ``u = (x - x0) / sx`` and ``v = (y - y0) / sy``.

    Standardising either side is an affine change of the parameters: the curve that fits best stays
    the same, but steps and tolerances then suit scores of 0..1 and of 0..100 alike.
    """
    first, second = _pair(x, y)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return Fit(curve, (), "a score is not a finite number")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return Fit(curve, (), "the scores of one side are all the same")
    optimize = require("scipy.optimize", extra="evaluation", purpose="a logistic fit of scores")
    x0, sx, y0, sy = first.mean(), first.std(), second.mean(), np.ptp(second)
    u, v = (first - x0) / sx, (second - y0) / sy
    initial = start(u, v)
    if len(u) <= len(initial):
        return Fit(
            curve, (), f"{len(u)} scores are too few for a curve of {len(initial)} parameters"
        )
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # a slope on its way to 0
        found: Any = optimize.least_squares(
            lambda b: curve(u, *b) - v,
            initial,
            # By finite differences the result would depend on the machine's rounding: a steep or
            # nearly straight curve has parameters that hardly matter.
            jac=lambda b: _JACOBIANS[curve](u, *b),
            method="lm",
            max_nfev=_EVALUATIONS,
        )
    if not found.success:
        return Fit(curve, (), f"it did not converge in {_EVALUATIONS} evaluations")
    parameters = tuple(float(value) for value in in_units(found.x, x0, sx, y0, sy))
    if not np.isfinite([*parameters, *found.fun]).all():
        return Fit(curve, (), f"it ended in parameters {parameters}")
    if np.ptp(found.fun + v) == 0:
        return Fit(curve, (), "it ended in a flat curve")
    return Fit(curve, parameters)


def _jacobian4(x: FloatArray, b1: float, b2: float, b3: float, b4: float) -> FloatArray:
    """``(n, 4)``: derivatives of `logistic4` by its parameters."""
    z = (x - b3) / abs(b4)
    t = _tanh_half(z)
    slope = (b1 - b2) * (1 - t * t) / 4
    return np.stack([(1 + t) / 2, (1 - t) / 2, -slope / abs(b4), -slope * z / b4], axis=1)


def _jacobian5(x: FloatArray, b1: float, b2: float, b3: float, b4: float, b5: float) -> FloatArray:
    """``(n, 5)``: derivatives of `logistic5` by its parameters."""
    t = _tanh_half(b2 * (x - b3))
    slope = b1 * (1 - t * t) / 4
    return np.stack([t / 2, slope * (x - b3), -slope * b2, x, np.ones_like(x)], axis=1)


_JACOBIANS: dict[Callable[..., FloatArray], Callable[..., FloatArray]] = {
    logistic4: _jacobian4,
    logistic5: _jacobian5,
}


def _tanh_half(z: FloatArray) -> FloatArray:
    """``1 - 2 / (1 + exp(z))`` in a form that cannot overflow."""
    return np.tanh(z / 2)


def _pair(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise ConfigError(
            f"scores of shape {first.shape} and {second.shape}: expected two lists of the same "
            f"length, at least 2"
        )
    return first, second


def _correlation(function: str, x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    first, second = _pair(x, y)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    stats = require("scipy.stats", extra="evaluation", purpose="a correlation of scores")
    return float(getattr(stats, function)(first, second).statistic)
