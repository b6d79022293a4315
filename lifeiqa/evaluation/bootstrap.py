"""Bootstrap intervals of correlations: how far a figure could move with other images.

A resample is held as counts, how often it drew each image, so that many resamples are one matrix
and a correlation of all of them a few sums over it. Efron and Tibshirani, "An Introduction to the
Bootstrap", 1993, chapter 13: the percentile interval.
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
"""Counts that are worked on at once: 8 MiB of each temporary, whatever the number of images."""


def draw(n: int, groups: Sequence[str] | None, resamples: int, seed: int) -> Counts:
    """Draw resamples with replacement.

    Args:
        n: number of images.
        groups: the group of each image, for instance its reference. Images of one reference
            are not independent, so that whole groups are drawn (the cluster bootstrap); None draws
            single images.
        resamples: how many.
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

    NaN when a resample leaves the figure undefined, or when there is but one group and all drew the
    same: the images, or their groups, are too few to tell.

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
    """How much more one prediction agrees than another on each resample, ``(resamples,)``.

    Both are judged on the same images, so that what is hard for both cancels: the interval of
    the difference is far narrower than those of the two figures.

    Args:
        figure: one of the functions below.
        x: predicted scores ``(n,)``.
        other: those of the other model ``(n,)``.
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
    """Spearman's correlation of each resample, with its own average ranks, ``(resamples,)``."""
    return _weighted_plcc(_ranks(x, counts), _ranks(y, counts), counts)


def resampled_krcc(x: FloatArray, y: FloatArray, counts: Counts) -> FloatArray:
    """Kendall's tau-b of each resample, ``(resamples,)``: one by one, in n log n each."""
    rows = (np.repeat(np.arange(len(x)), row) for row in counts)
    return np.array([krcc(x[drawn], y[drawn]) for drawn in rows])


def _blocks(counts: Counts) -> Iterator[Counts]:
    step = max(1, _BLOCK // counts.shape[1])
    for start in range(0, len(counts), step):
        yield counts[start : start + step]


def _ranks(values: FloatArray, counts: Counts) -> FloatArray:
    """Average ranks of each image in each resample, ``(resamples, n)``.

    Equal values, and an image that was drawn more than once, fill as many places as they count
    and share the mean of these places: the places below them, and half of their own.
    """
    distinct, index = np.unique(values, return_inverse=True)
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(len(distinct)))
    own = np.add.reduceat(counts[:, order], starts, axis=1)  # (resamples, distinct)
    return (np.cumsum(own, axis=1) - own / 2 + 0.5)[:, index]


def _weighted_plcc(x: FloatArray, y: FloatArray, counts: Counts) -> FloatArray:
    """Pearson's correlation of ``(resamples, n)`` rows, where each entry counts so many times."""
    total = counts.sum(axis=1, keepdims=True)
    u = x - (counts * x).sum(axis=1, keepdims=True) / total
    v = y - (counts * y).sum(axis=1, keepdims=True) / total
    together, spread_u, spread_v = ((counts * w).sum(axis=1) for w in (u * v, u * u, v * v))
    constant = _constant(x, counts) | _constant(y, counts)
    spread = np.sqrt(spread_u * spread_v)
    return np.where(constant, np.nan, together / np.where(constant, 1.0, spread))


def _constant(values: FloatArray, counts: Counts) -> npt.NDArray[np.bool_]:
    """Whether all that a resample drew is one value, where rounding would leave a false spread."""
    drawn = counts > 0
    low = np.where(drawn, values, np.inf).min(axis=1)
    return np.asarray(low == np.where(drawn, values, -np.inf).max(axis=1))
