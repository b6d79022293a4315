"""Agreement between scores: SROCC, PLCC, KRCC, and their definitions.

SciPy computes them; see the extras of the package.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lifeiqa.errors import ConfigError, require

FloatArray = npt.NDArray[np.floating]


def srocc(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Spearman's rank correlation, average ranks for ties; NaN when either side is constant."""
    return _correlation("spearmanr", x, y)


def plcc(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Pearson's linear correlation of the raw scores, no fit; NaN when either side is constant."""
    return _correlation("pearsonr", x, y)


def krcc(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Kendall's tau-b; NaN when either side is constant."""
    return _correlation("kendalltau", x, y)


@dataclass(frozen=True)
class Agreement:
    """Predicted against human scores.

    Attributes:
        n: number of pictures.
        srocc: Spearman's rank correlation.
        plcc: Pearson's correlation of the raw scores.
        krcc: Kendall's tau-b.
        rmse: root mean square difference of the raw scores, in label units.
    """

    n: int
    srocc: float
    plcc: float
    krcc: float
    rmse: float


def agreement(predicted: npt.ArrayLike, target: npt.ArrayLike) -> Agreement:
    """All figures of `Agreement` at once.

    Raises:
        ConfigError: the two differ in length or hold fewer than two scores.
    """
    x, y = _pair(predicted, target)
    rmse = float(np.sqrt(np.mean((x - y) ** 2)))
    return Agreement(len(x), srocc(x, y), plcc(x, y), krcc(x, y), rmse)


def _pair(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, second = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise ConfigError(
            f"scores of shape {first.shape} and {second.shape}: two lists of the same length, "
            f"at least 2, are expected"
        )
    return first, second


def _correlation(function: str, x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    first, second = _pair(x, y)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    stats = require("scipy.stats", extra="metrics", purpose="a correlation of scores")
    return float(getattr(stats, function)(first, second).statistic)
