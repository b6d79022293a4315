"""The score of an image, pooled over its crops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lifeiqa.errors import ArtifactError
from lifeiqa.runtimes.base import Scores


@dataclass(frozen=True)
class Score:
    """The quality of one image, in the label units of its model.

    Attributes:
        value: mean over the crops.
        std: population standard deviation over the crops; large where quality varies over the
            image. 0 for one crop.
        crops: score of each crop, in the order of the crop plan.
        gaps: True if the crop plan is ``cover`` and the image is so long that its 16 crops leave
            gaps between them, which have no part in the score.
    """

    value: float
    std: float
    crops: tuple[float, ...]
    gaps: bool = False

    @classmethod
    def of(cls, scores: Scores, *, gaps: bool = False) -> Score:
        """Pool the scores ``(N,)`` of an image's crops; see `or_error`."""
        with np.errstate(invalid="ignore"):  # infinity has no deviation
            std = float(scores.std(dtype=np.float64))
        return cls(float(scores.mean(dtype=np.float64)), std, tuple(scores.tolist()), gaps)

    def or_error(self) -> Score | ArtifactError:
        """The score, or the error of a model that returned NaN or infinity."""
        return not_a_number(self.value) or self


def not_a_number(score: float) -> ArtifactError | None:
    """The error of NaN or infinity, which say nothing about the image; None for a number."""
    if math.isfinite(score):
        return None
    return ArtifactError(
        f"the model returned {score}. Half precision may have overflowed: try the FP32 model"
    )
