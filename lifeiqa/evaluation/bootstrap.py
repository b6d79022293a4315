"""Bootstrap intervals of correlations: how much a figure could differ on other images.

A resample is stored as counts: how often it drew each image. So many resamples are one matrix, and
the correlations of all of them are a few sums over it. Percentile intervals: Efron and Tibshirani,
"An Introduction to the Bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from lifeiqa.metrics import FloatArray, krcc

Counts: TypeAlias = npt.NDArray[np.int64]
"""How often each resample drew each image, ``(resamples, n)``."""
Interval: TypeAlias = tuple[float, float]
Resampled: TypeAlias = Callable[[FloatArray, FloatArray, Counts], FloatArray]

_BLOCK = 1 << 20
"""Counts processed at a time: 8 MiB for each temporary array, whatever the number of images."""


def draw(n: int, groups: Sequence[str] | None, resamples: int, seed: int) -> Counts:
    """Draw resamples with replacement.

    Args:
        n: number of images.
        groups: the group of each image, for instance its reference. Images of one reference are
            not independent, so whole groups are drawn (the cluster bootstrap). None draws single
            images.
        resamples: number of resamples.
        seed: of the draw.

    Returns:
        int64 ``(resamples, n)``.
    """
    generator = np.random.default_rng(seed)
    index = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    size = int(index.max()) + 1
    drawn = generator.multinomial(size, np.full(size, 1 / size), size=resamples)
    return drawn[:, index]


def interval(figure: Resampled, x: FloatArray, y: FloatArray, counts: Counts) -> Interval:
    """The middle 95 % of a figure over the resamples.

    NaN if the figure is undefined for a resample, or if there is one group, so that all resamples
    are equal: then there are too few images or groups.

    Args:
        figure: one of the functions below.
        x: predicted scores ``(n,)``.
        y: human scores ``(n,)``.
        counts: see `draw`.
    """
    if (counts == counts[0]).all():
        return math.nan, math.nan
    values = np.concatenate([figure(x, y, block) for block in _blocks(counts)])
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def difference(
    figure: Resampled, x: FloatArray, other: FloatArray, y: FloatArray, counts: Counts
) -> FloatArray:
    """How much better one prediction agrees than another on each resample, ``(resamples,)``.

    Both are measured on the same images, so that what is hard for both cancels: the interval of
    the difference is much narrower than those of the two figures.

    Args:
        figure: one of the functions below.
        x: predicted scores ``(n,)``.
        other: predicted scores of the other model ``(n,)``.
        y: human scores ``(n,)``.
        counts: see `draw`.
    """
    blocks = list(_blocks(counts))
    return np.concatenate([figure(x, y, block) - figure(other, y, block) for block in blocks])


def resampled_plcc(x: FloatArray, y: FloatArray, counts: Counts) -> FloatArray:
    """Pearson's correlation of each resample, ``(resamples,)``."""
    shape = counts.shape
    return _weighted_plcc(np.broadcast_to(x, shape), np.broadcast_to(y, shape), counts)


def resampled_srocc(x: FloatArray, y: FloatArray, counts: Counts) -> FloatArray:
    """Spearman's correlation of each resample, with average ranks of its own, ``(resamples,)``."""
    return _weighted_plcc(_ranks(x, counts), _ranks(y, counts), counts)


def resampled_krcc(x: FloatArray, y: FloatArray, counts: Counts) -> FloatArray:
    """Kendall's tau-b of each resample, ``(resamples,)``: one by one, each in O(n log n)."""
    rows = (np.repeat(np.arange(len(x)), row) for row in counts)
    return np.array([krcc(x[drawn], y[drawn]) for drawn in rows])


def _blocks(counts: Counts) -> Iterator[Counts]:
    step = max(1, _BLOCK // counts.shape[1])
    for start in range(0, len(counts), step):
        yield counts[start : start + step]


def _ranks(values: FloatArray, counts: Counts) -> FloatArray:
    """Average ranks of each image in each resample, ``(resamples, n)``.

    Equal values, including an image that was drawn more than once, share the mean of their places:
    the number of values below them, and half of their own number.
    """
    distinct, index = np.unique(values, return_inverse=True)
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(len(distinct)))
    own = np.add.reduceat(counts[:, order], starts, axis=1)  # (resamples, distinct)
    return (np.cumsum(own, axis=1) - own / 2 + 0.5)[:, index]


def _weighted_plcc(x: FloatArray, y: FloatArray, counts: Counts) -> FloatArray:
    """Pearson's correlation of ``(resamples, n)`` rows, each entry weighted by its count."""
    total = counts.sum(axis=1, keepdims=True)
    u = x - (counts * x).sum(axis=1, keepdims=True) / total
    v = y - (counts * y).sum(axis=1, keepdims=True) / total
    together, spread_u, spread_v = ((counts * w).sum(axis=1) for w in (u * v, u * u, v * v))
    constant = _constant(x, counts) | _constant(y, counts)
    spread = np.sqrt(spread_u * spread_v)
    return np.where(constant, np.nan, together / np.where(constant, 1.0, spread))


def _constant(values: FloatArray, counts: Counts) -> npt.NDArray[np.bool_]:
    """Whether a resample drew a single value, for which rounding would leave a false spread."""
    drawn = counts > 0
    low = np.where(drawn, values, np.inf).min(axis=1)
    return np.asarray(low == np.where(drawn, values, -np.inf).max(axis=1))
