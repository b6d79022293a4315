"""Sense, beside correlation: an image that is distorted more and more must score worse and worse.

It needs no human scores. Rank correlation over a data set says whether different images come in
the right order; this says whether one image and its own worse forms do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lifeiqa.config import Direction
from lifeiqa.data.distortions import LEVELS, STRENGTHS, distort
from lifeiqa.errors import ConfigError
from lifeiqa.preprocess.decode import decode
from lifeiqa.scorer import Scorer
from lifeiqa.text import printable

KINDS = ("blur", "noise", "jpeg", "jpeg2000", "contrast", "colour")
"""The distortions that are measured unless others are named."""


@dataclass(frozen=True, eq=False)
class Sense:
    """Scores of images under distortions of rising strength.

    A step is from one level to the next; it falls when the score gets strictly worse, whichever
    direction that is for the model. A pair of image and kind is monotone when every step falls.

    Attributes:
        model: what the scores came from.
        direction: whether a higher or a lower score is a better image.
        kinds: the K kinds of distortion.
        scores: ``(P, K, 6)`` in label units: P images, levels 0 (untouched) to 5.
        seed: that of the noise.
    """

    model: str
    direction: Direction
    kinds: tuple[str, ...]
    scores: npt.NDArray[np.float64]
    seed: int = 0

    @property
    def falls(self) -> npt.NDArray[np.bool_]:
        """``(P, K, 5)``: whether each step falls."""
        steps = np.diff(self.scores, axis=-1)
        falls: npt.NDArray[np.bool_] = steps < 0 if self.direction == "higher" else steps > 0
        return falls

    @property
    def monotone(self) -> float:
        """Share of all pairs that are monotone, 0 to 1: the figure of a model card."""
        return float(self.falls.all(-1).mean())

    @property
    def falling(self) -> float:
        """Share of all single steps that fall, 0 to 1."""
        return float(self.falls.mean())

    def of(self, kind: str) -> Sense:
        """The same for one kind alone."""
        chosen = self.scores[:, [self.kinds.index(kind)]]
        return Sense(self.model, self.direction, (kind,), chosen, self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; shares are 0 to 1."""
        return {
            "model": self.model,
            "direction": self.direction,
            "seed": self.seed,
            "images": len(self.scores),
            "pairs": self.falls.all(-1).size,
            "monotone": self.monotone,
            "steps": self.falls.size,
            "falling": self.falling,
            "kinds": {
                kind: {
                    "monotone": self.of(kind).monotone,
                    "falling": self.of(kind).falling,
                    "mean_scores": self.of(kind).scores.mean((0, 1)).tolist(),
                }
                for kind in self.kinds
            },
        }

    def __str__(self) -> str:
        pairs = self.falls.all(-1)
        lines = [
            f"{self.model}: {pairs.sum()} of {pairs.size} pairs of {len(self.scores)} images "
            f"with {len(self.kinds)} distortions get worse at every step",
            f"{'':10}{'monotone':>8}{'steps':>8}  mean score at levels 0 to {LEVELS}",
        ]
        for kind in self.kinds:
            means = "".join(f"{mean:9.4f}" for mean in self.of(kind).scores.mean((0, 1)))
            lines.append(_shares(kind, self.of(kind)) + means)
        return "\n".join([*lines, _shares("all", self)])


def _shares(name: str, sense: Sense) -> str:
    return f"{name:10}{sense.monotone:8.3f}{sense.falling:8.3f}"


def sense(
    scorer: Scorer,
    images: Sequence[Path],
    kinds: Sequence[str] = KINDS,
    *,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Sense:
    """Score every image untouched and under every kind of distortion at its five levels.

    An image is distorted at its own size, before the scorer reduces it: on photographs far
    larger than the model's working scale the same strengths are milder.

    Args:
        scorer: gives 1 + 5 K scores an image.
        images: undistorted photographs; none of them may be missing or damaged.
        kinds: keys of `lifeiqa.data.distortions.STRENGTHS`, each once.
        seed: draws the noise.
        report: takes a line for each image.

    Raises:
        ConfigError: there is no image, no kind, an unknown one, or one twice.
        ImageError: an image cannot be read.
    """
    unknown = [kind for kind in kinds if kind not in STRENGTHS]
    if unknown or not kinds or len(set(kinds)) < len(kinds):
        raise ConfigError(
            f"kinds {', '.join(kinds) or '(none)'}: name one or more of {', '.join(STRENGTHS)}, "
            f"each once"
        )
    if not images:
        raise ConfigError("there is no image to distort: name a folder that holds some")
    scores = np.empty((len(images), len(kinds), LEVELS + 1))
    for row, path in enumerate(images):
        report(f"{row + 1} of {len(images)}: {printable(path)}")
        pixels = decode(path, max_pixels=scorer.max_pixels)
        scores[row, :, 0] = scorer.score(pixels).value
        for column, kind in enumerate(kinds):
            for level in range(1, LEVELS + 1):
                distorted = distort(pixels, kind, level, seed=seed)
                scores[row, column, level] = scorer.score(distorted).value
    manifest = scorer.manifest
    return Sense(manifest.name, manifest.labels.direction, tuple(kinds), scores, seed)
