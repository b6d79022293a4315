"""How a batch of any length is cut into the few batch sizes that a session keeps buffers for.

A captured CUDA graph and a bound buffer serve one batch size. A session keeps one for each of a few
sizes, called buckets here; a piece that is shorter than its bucket is filled up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from lifeiqa.artifacts.engine_info import BatchProfile
from lifeiqa.errors import ConfigError
from lifeiqa.preprocess.decode import Pixels

BUCKETS = (1, 2, 4, 8, 16, 32)
"""For a graph with a dynamic batch: at most half of a piece is filler."""


class Piece(NamedTuple):
    """Crops ``start`` to ``stop``, run as a batch of ``bucket``."""

    start: int
    stop: int
    bucket: int


def buckets_of(batch: int | None) -> tuple[int, ...]:
    """The buckets of a graph: its one size, or `BUCKETS` where its batch is dynamic."""
    return BUCKETS if batch is None else (batch,)


def bucket_for(count: int, buckets: Sequence[int]) -> int:
    """The smallest bucket that holds ``count`` crops, else the largest there is."""
    return min((bucket for bucket in buckets if bucket >= count), default=max(buckets))


def pieces(count: int, buckets: Sequence[int]) -> list[Piece]:
    """Cut ``count`` crops, in order, into pieces that fit a bucket each.

    All pieces but the last have the size of the largest bucket.
    """
    largest = max(buckets)
    cuts = [*range(0, count, largest), count]
    return [Piece(start, stop, bucket_for(stop - start, buckets)) for start, stop in pairwise(cuts)]


def batch_sizes(profiles: tuple[BatchProfile, ...]) -> dict[int, int]:
    """Batch size of a run -> number of its profile: each fixed size, powers of two in a range."""
    sizes: dict[int, int] = {}
    for number, profile in enumerate(profiles):
        inside = [2**power for power in range(31) if 2**power in profile]
        for size in (profile.minimum, *inside, profile.optimum, profile.maximum):
            sizes.setdefault(size, number)
    return dict(sorted(sizes.items()))


def exact_pieces(count: int, profiles: tuple[BatchProfile, ...]) -> list[tuple[int, int, int]]:
    """``(start, stop, profile)`` whose lengths the profiles take as they are, the largest first.

    For crops in device memory, which are not copied and so cannot be filled up.

    Raises:
        ConfigError: some crops are left that no profile takes.
    """
    parts, start = [], 0
    while start < count:
        left = count - start
        fitting = [
            (min(profile.maximum, left), -number)
            for number, profile in enumerate(profiles)
            if profile.minimum <= left
        ]
        if not fitting:
            batches = ", ".join(map(str, profiles))
            raise ConfigError(
                f"{count} crops cannot be cut into the batches that this engine takes, {batches}: "
                f"{left} are left. Add crops, or build it with --batch {left} as well"
            )
        length, number = max(fitting)
        parts.append((start, start + length, -number))
        start += length
    return parts


def filled(crops: Pixels, size: int) -> Pixels:
    """Crops ``(n, S, S, 3)`` as a batch of ``size``, filled up with copies of the first one.

    A copy of a real crop cannot bring an infinity or NaN into the batch, unlike uninitialised
    memory. The caller drops the scores of the copies.
    """
    if len(crops) == size:
        return crops
    filler = np.broadcast_to(crops[:1], (size - len(crops), *crops.shape[1:]))
    return np.concatenate([crops, filler])  # (size, S, S, 3)
