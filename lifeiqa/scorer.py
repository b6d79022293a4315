"""From an image to a score."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.errors import ArtifactError
from lifeiqa.preprocess.crops import with_plan
from lifeiqa.preprocess.decode import MAX_PIXELS, ImageSource, Pixels
from lifeiqa.preprocess.pipeline import cut
from lifeiqa.runtimes import open_session
from lifeiqa.runtimes.base import Closeable, Scores, Session
from lifeiqa.runtimes.provider import without_provider
from lifeiqa.weights import DEFAULT, bundled

_BATCH = 32


@dataclass(frozen=True)
class Score:
    """The quality of one image, in the label units of its model.

    Attributes:
        value: mean over the crops.
        std: population standard deviation over the crops; large where quality varies over the
            image. 0 for one crop.
        crops: score of each crop, in the order of the crop plan.
    """

    value: float
    std: float
    crops: tuple[float, ...]

    @classmethod
    def of(cls, scores: Scores) -> Score:
        """Pool the scores ``(N,)`` of an image's crops; see `require_number`."""
        with np.errstate(invalid="ignore"):  # infinity has no deviation
            std = float(scores.std(dtype=np.float64))
        return cls(float(scores.mean(dtype=np.float64)), std, tuple(scores.tolist()))


def require_number(score: float) -> None:
    """Refuse NaN and infinity: a model that gives them says nothing about the image.

    Raises:
        ArtifactError: with what was given.
    """
    if not math.isfinite(score):
        raise ArtifactError(
            f"the model gave {score}, which is no score. Half precision may have overflowed: try "
            f"the FP32 model"
        )


class Scorer(Closeable):
    """Decodes an image, cuts it as the model wants it, and scores it.

    Args:
        model: a model file, or an open session; None takes the bundled model.
        crops: a crop plan in place of the model's own, see `lifeiqa.preprocess.crops.CropPlan`.
        runtime: see `lifeiqa.open_session`.
        device: see `lifeiqa.open_session`.
        threads: see `lifeiqa.open_session`.
        verify: see `lifeiqa.open_session`; rows name the model by ``manifest.title``.
        max_pixels: the largest image that is decoded.
        provider: deprecated; see ``runtime`` and ``device``.

    Raises:
        LifeIQAError: the model cannot be opened or the crop plan cannot be read.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Session | None = None,
        *,
        crops: str | None = None,
        runtime: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
        verify: bool = True,
        provider: str | None = None,
    ) -> None:
        if model is None:
            model = bundled()
            if model is None:
                raise ArtifactError(
                    f"the bundled model {DEFAULT} is missing from this installation; "
                    f"install lifeiqa again, or name a model file"
                )
        if isinstance(model, str | os.PathLike):
            runtime, device = without_provider(
                provider, Path(model).suffix, runtime, device, stacklevel=2
            )
            model = open_session(
                model, runtime=runtime, device=device, threads=threads, verify=verify
            )
        self.session = model
        self.preprocessing = with_plan(model.manifest.preprocessing, crops)
        self.max_pixels = max_pixels

    @property
    def manifest(self) -> Manifest:
        """What the model is and what its scores mean."""
        return self.session.manifest

    def score(self, image: ImageSource) -> Score:
        """Score one image.

        Args:
            image: a path, the bytes of a file, a Pillow image, or uint8 RGB ``(H, W, 3)``.

        Raises:
            ImageError: it cannot be decoded or cropped; the message names it and the cause.
            ArtifactError: the model gave no number.
        """
        score = Score.of(self.score_crops(self.crops(image)))
        require_number(score.value)
        return score

    def crops(self, image: ImageSource) -> Pixels:
        """The crops that `score` looks at, uint8 ``(N, S, S, 3)``."""
        size = self.manifest.config.crop_size
        return cut(image, self.preprocessing, size, max_pixels=self.max_pixels).crops

    def score_crops(self, crops: Pixels) -> Scores:
        """Scores ``(N,)`` of crops that were cut already, at most 32 in one run."""
        pieces = [crops[start : start + _BATCH] for start in range(0, len(crops), _BATCH)]
        return np.concatenate([self.session.run(piece) for piece in pieces or [crops]])

    def close(self) -> None:
        """Close the session."""
        self.session.close()
