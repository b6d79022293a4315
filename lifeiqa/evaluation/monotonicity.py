"""Monotonicity: an image that is distorted more and more must score worse and worse.

It needs no human scores of the images. Rank correlation over a data set says whether different
images come in the right order; this says whether one image and its own distorted forms do, and
whether damage of one kind is weighed against damage of another as people weigh it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lifeiqa.config import Direction
from lifeiqa.data.distortions import KINDS as ALL_KINDS
from lifeiqa.data.distortions import LEVELS, UNDISTORTED_OPINION, distort
from lifeiqa.data.distortions.scale import TABLED_SHORT_SIDE, reduced
from lifeiqa.errors import ConfigError
from lifeiqa.metrics import FloatArray, srocc
from lifeiqa.preprocess.decode import decode
from lifeiqa.scorer import Scorer
from lifeiqa.text import printable

KINDS = tuple(name for name, kind in ALL_KINDS.items() if kind.tabled)
"""The kinds that are measured unless others are named: those that people scored."""
CLEAR_FALL = 0.3
"""Fall of the mean opinion, 1 to 5, from one strength to the next that a model must follow."""
RUINED = 2.0
"""Mean opinion, 1 to 5, below which an image counts as ruined."""
OFFENDERS = 10
"""How many ruined images with the best scores are listed."""


class Offender(NamedTuple):
    """A ruined image that scores well.

    Attributes:
        image: its name.
        kind: of distortion, at strength 5.
        score: in label units.
        undistorted: score of the undistorted image.
    """

    image: str
    kind: str
    score: float
    undistorted: float


@dataclass(frozen=True, eq=False)
class Monotonicity:
    """Scores of images under distortions of rising strength.

    A step is from one strength to the next, the first from the undistorted image. It falls when
    the score gets strictly worse, whichever direction that is for the model.

    Attributes:
        model: what the scores came from.
        direction: whether a higher or a lower score is a better image.
        images: names of the P images.
        kinds: the K kinds of distortion.
        scores: ``(P, K, 6)`` in label units: strengths 0 (undistorted) to 5.
        seed: of the random fields.
        short_side: what images were reduced to before they were distorted; None for their own size.
    """

    model: str
    direction: Direction
    images: tuple[str, ...]
    kinds: tuple[str, ...]
    scores: FloatArray
    seed: int = 0
    short_side: int | None = TABLED_SHORT_SIDE

    @property
    def falls(self) -> npt.NDArray[np.bool_]:
        """``(P, K, 5)``: whether each step falls."""
        falls: npt.NDArray[np.bool_] = np.diff(self._quality, axis=-1) < 0
        return falls

    @property
    def series(self) -> npt.NDArray[np.bool_]:
        """``(P, M)``: whether the score falls at every step from strength 1 on.

        M counts the kinds that get worse with every strength. The step from the undistorted image
        to strength 1 is left out: some kinds change nothing there.
        """
        chosen = [place for place, name in enumerate(self.kinds) if ALL_KINDS[name].monotone]
        series: npt.NDArray[np.bool_] = np.all(self.falls[:, chosen, 1:], axis=-1)
        return series

    @property
    def monotone(self) -> float:
        """Share of series that fall at every step, 0 to 1; NaN without any."""
        return _share(self.series)

    @property
    def clear_falls(self) -> npt.NDArray[np.bool_]:
        """``(n,)``: whether a step falls, of all steps where people's opinion falls by 0.3."""
        steps = np.diff(self.opinions, axis=-1)  # (K, 5), NaN where there is no opinion
        found: npt.NDArray[np.bool_] = self.falls[:, steps <= -CLEAR_FALL + 1e-9].ravel()
        return found

    @property
    def falling(self) -> float:
        """Share of those steps that fall, 0 to 1; NaN without any."""
        return _share(self.clear_falls)

    @property
    def opinions(self) -> FloatArray:
        """``(K, 6)``: mean opinion, 1 to 5, at strengths 0 to 5; NaN where nobody gave one."""
        rows = np.full((len(self.kinds), LEVELS + 1), np.nan)
        for row, name in zip(rows, self.kinds, strict=True):
            if ALL_KINDS[name].tabled:
                row[:] = UNDISTORTED_OPINION, *(ALL_KINDS[name].opinions or ())
        return rows

    @property
    def srocc(self) -> float:
        """Spearman's correlation of score and opinion over images, kinds and strengths 1 to 5.

        1 is agreement whichever the model's direction. Needs SciPy. NaN without opinions.
        """
        opinions = np.broadcast_to(self.opinions[:, 1:], self.scores[..., 1:].shape)
        known = ~np.isnan(opinions)
        if not known.any():
            return float("nan")
        return srocc(self._quality[..., 1:][known], opinions[known])

    @property
    def ruined(self) -> list[Offender]:
        """All images at strength 5 of kinds whose opinion there is below 2, best score first."""
        found = [
            (quality, Offender(image, kind, float(score), float(undistorted)))
            for place, kind in enumerate(self.kinds)
            if self.opinions[place, LEVELS] < RUINED
            for image, undistorted, score, quality in zip(
                self.images,
                self.scores[:, place, 0],
                self.scores[:, place, LEVELS],
                self._quality[:, place, LEVELS],
                strict=True,
            )
        ]
        return [offender for _, offender in sorted(found, key=lambda pair: -pair[0])]

    def of(self, kind: str) -> Monotonicity:
        """The same for one kind alone."""
        chosen = self.scores[:, [self.kinds.index(kind)]]
        return replace(self, kinds=(kind,), scores=chosen)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; shares are 0 to 1, what is not defined is None."""
        return {
            "model": self.model,
            "direction": self.direction,
            "seed": self.seed,
            "short_side": self.short_side,
            "images": len(self.images),
            "series": self.series.size,
            "monotone": _plain(self.monotone),
            "clear_steps": self.clear_falls.size,
            "falling": _plain(self.falling),
            "srocc": _plain(self.srocc),
            "kinds": {
                kind: {
                    "monotone": _plain(self.of(kind).monotone),
                    "falling": _plain(self.of(kind).falling),
                    "srocc": _plain(self.of(kind).srocc),
                    "mean_scores": self.of(kind).scores.mean((0, 1)).tolist(),
                    "opinions": [_plain(opinion) for opinion in self.of(kind).opinions[0]],
                }
                for kind in self.kinds
            },
            "ruined": [offender._asdict() for offender in self.ruined[:OFFENDERS]],
        }

    def __str__(self) -> str:
        wide = max(len("all"), *map(len, self.kinds))
        lines = [
            f"{self.model}: monotonic in {self.series.sum()} of {self.series.size} series of an "
            f"image and a distortion; {len(self.images)} images, {len(self.kinds)} distortions",
            f"{'':{wide}}{'monotone':>10}{'falling':>9}{'SROCC':>8}"
            f"  mean score at strengths 0 to {LEVELS}",
        ]
        for kind in self.kinds:
            means = "".join(f"{mean:9.4f}" for mean in self.of(kind).scores.mean((0, 1)))
            lines.append(self.of(kind)._figures(kind, wide) + means)
        lines.append(self._figures("all", wide))
        if self.ruined:
            lines.append(f"ruined images (opinion below {RUINED:g}) with the best scores:")
        lines += [
            f"  {bad.score:.4f} (undistorted {bad.undistorted:.4f})  {bad.kind}  "
            f"{printable(bad.image)}"
            for bad in self.ruined[:OFFENDERS]
        ]
        return "\n".join(lines)

    @property
    def _quality(self) -> FloatArray:
        """The scores, negated where lower is better."""
        return self.scores if self.direction == "higher" else -self.scores

    def _figures(self, name: str, wide: int) -> str:
        figures = (self.monotone, self.falling, self.srocc)
        shown = ["-" if np.isnan(figure) else f"{figure:.3f}" for figure in figures]
        return f"{name:{wide}}{shown[0]:>10}{shown[1]:>9}{shown[2]:>8}"


def measure_monotonicity(
    scorer: Scorer,
    images: Sequence[Path],
    kinds: Sequence[str] = KINDS,
    *,
    seed: int = 0,
    short_side: int | None = TABLED_SHORT_SIDE,
    progress: Callable[[str], None] = lambda line: None,
) -> Monotonicity:
    """Score every image undistorted and under every kind of distortion at strengths 1 to 5.

    Args:
        scorer: gives 1 + 5 K scores an image.
        images: undistorted photographs; none of them may be missing or damaged.
        kinds: keys of `lifeiqa.data.distortions.KINDS`, each once.
        seed: draws the random fields.
        short_side: larger images are reduced to it first, pixels: people's opinions hold for the
            default, and on large photographs the same strengths are milder. None: no reduction.
        progress: takes a line for each image.

    Raises:
        ConfigError: there is no image, no kind, an unknown one, or one twice.
        ImageError: an image cannot be read.
        MissingDependencyError: SciPy is not installed.
    """
    if not kinds or len(set(kinds)) < len(kinds) or not set(kinds) <= set(ALL_KINDS):
        raise ConfigError(
            f"kinds {', '.join(kinds) or '(none)'}: name one or more of {', '.join(ALL_KINDS)}, "
            f"each once"
        )
    if not images:
        raise ConfigError("no image to distort: name a folder that holds some")
    scores = np.empty((len(images), len(kinds), LEVELS + 1))
    for row, path in enumerate(images):
        progress(f"{row + 1} of {len(images)}: {printable(path)}")
        pixels = decode(path, max_pixels=scorer.max_pixels)
        if short_side is not None:
            pixels = reduced(pixels, short_side)
        scores[row, :, 0] = scorer.score(pixels).value
        for column, kind in enumerate(kinds):
            for strength in range(1, LEVELS + 1):
                distorted = distort(pixels, kind, strength, seed=seed)
                scores[row, column, strength] = scorer.score(distorted).value
    return Monotonicity(
        model=scorer.manifest.name,
        direction=scorer.manifest.labels.direction,
        images=tuple(path.name for path in images),
        kinds=tuple(kinds),
        scores=scores,
        seed=seed,
        short_side=short_side,
    )


def _share(truths: npt.NDArray[np.bool_]) -> float:
    return float(truths.mean()) if truths.size else float("nan")


def _plain(figure: float) -> float | None:
    return None if np.isnan(figure) else float(figure)
