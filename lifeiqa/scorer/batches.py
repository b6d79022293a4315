"""The crops of many images, scored in full batches.

This is the one place where crops of several images share a run of the model: `Scorer.score_many`,
`lifeiqa.evaluation`, `lifeiqa.bulk` and `lifeiqa.integrations.ray` all come through here.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes.base import Session
from lifeiqa.scorer.score import Score

T = TypeVar("T")

SCORER_BATCH = 32
"""Crops in one run where an image is scored by itself."""


@dataclass(eq=False)
class _Waiting(Generic[T]):
    """An image in the queue of `score_in_batches`."""

    tag: T
    count: int
    scores: list[np.float32] = field(default_factory=list)

    @property
    def score(self) -> Score | None:
        return Score.of(np.array(self.scores, np.float32)) if self.count else None


def score_in_batches(
    images: Iterable[tuple[T, Pixels | None]],
    session: Session,
    *,
    batch: int | None,
    most_waiting: float = math.inf,
) -> Iterator[tuple[T, Score | None]]:
    """Score the crops of images in full batches, across images and in their order.

    Which crops share a run follows from the order of the images alone. Memory holds the crops of
    the next run, and the tags of images that are not complete.

    Args:
        images: a tag for each image, of any type, and its crops ``(N, S, S, 3)``; None for an image
            that needs no score, but keeps its place in the order.
        session: runs the crops.
        batch: crops in one run; None runs those of each image by themselves, at most 32 in a run.
        most_waiting: images that may wait for a batch to fill. Beyond, a smaller one is run: after
            one image with crops there may come any number without.

    Yields:
        The tags, in order, each with its score, which may be NaN.

    Raises:
        Exception: what ``images`` raises, after the scores of all images before it.
    """
    queue: deque[_Waiting[T]] = deque()
    crops: deque[tuple[_Waiting[T], Pixels]] = deque()

    def run(least: int) -> Iterator[tuple[T, Score | None]]:
        """Run batches while there are this many crops, then yield what is complete."""
        while len(crops) >= least:
            count = min(batch or SCORER_BATCH, len(crops))
            owners, pieces = zip(*(crops.popleft() for _ in range(count)), strict=True)
            for owner, score in zip(owners, session.run(np.stack(pieces)), strict=True):
                owner.scores.append(score)
        while queue and len(queue[0].scores) == queue[0].count:
            done = queue.popleft()
            yield done.tag, done.score

    source = iter(images)
    failed: Exception | None = None
    while True:
        try:
            tag, own = next(source)
        except StopIteration:
            break
        except Exception as error:
            failed = error
            break
        waiting = _Waiting(tag, 0 if own is None else len(own))
        queue.append(waiting)
        crops.extend((waiting, crop) for crop in (() if own is None else own))
        yield from run(batch or 1)
        if len(queue) > most_waiting:
            yield from run(1)
    yield from run(1)
    if failed is not None:
        raise failed
