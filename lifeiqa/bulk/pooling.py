"""What the scores of a video's frames say of the whole video."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from lifeiqa.config import Labels
from lifeiqa.errors import ImageError


class Pooled(NamedTuple):
    """What the scores of a video's frames say of it.

    Attributes:
        mean: over the frames.
        p5: 5th-percentile frame score, counted from the worst frame, by nearest rank: the worst
            5 % of the frames, at least one, score this or worse.
        worst_second: the worst mean over the frames of one second of the video.
        worst_time: start of that second, in seconds; of equally bad ones, the first.
    """

    mean: float
    p5: float
    worst_second: float
    worst_time: float


def pooled(times: Sequence[float], scores: Sequence[float], labels: Labels) -> Pooled:
    """Pool the scores of a video's frames.

    Args:
        times: of the frames, in seconds.
        scores: of the same frames, in label units.
        labels: which direction is worse.

    Raises:
        ImageError: there is no frame.
    """
    if not scores:
        raise ImageError("no frame was scored")
    worse = (
        1.0 if labels.direction == "higher" else -1.0
    )  # multiplied by this, the worst is the smallest
    ordered = sorted(worse * score for score in scores)
    seconds: dict[int, list[float]] = {}
    for time, score in zip(times, scores, strict=True):
        seconds.setdefault(math.floor(time), []).append(worse * score)
    worst, second = min((math.fsum(group) / len(group), at) for at, group in seconds.items())
    return Pooled(
        math.fsum(scores) / len(scores),
        worse * ordered[(len(ordered) - 1) // 20],
        worse * worst,
        float(second),
    )
