"""Distorted copies of training images, and the scores that the severity of a distortion implies.

People's mean opinion of a kind and strength of distortion is known, see
`lifeiqa.data.distortions`: so a copy has a target without a human score of its own. Copies come in
pairs, one kind at two strengths over one random field, for their order is surer than their level.

Nothing here imports torch: many processes make copies.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lifeiqa.config import Labels, Preprocessing
from lifeiqa.data.distortions import KINDS, LEVELS, distort, mean_opinion
from lifeiqa.data.distortions.kinds import UNDISTORTED_OPINION
from lifeiqa.metrics import FloatArray
from lifeiqa.preprocess.crops import crops_from_pixels, resize
from lifeiqa.preprocess.decode import Pixels, decode
from lifeiqa.training.recipe import Recipe

SIDES = (384, 512)
"""Short sides in pixels at which images are distorted: strengths hold for about 512x384."""
_UNTOUCHED = 0.25
"""Share of the pairs whose milder copy has strength 0: the image itself, resized like the other."""
_LEAST = 0.25
"""Smallest strength of the stronger copy: below it nobody sees a difference."""
_BELOW = 3.0
"""Largest strength of the distortion under a composed pair, which is to leave something to see."""


class Pair(NamedTuple):
    """Two distorted copies of one image, the better one first.

    Attributes:
        kind: of distortion.
        strengths: of each copy, in [0, 5].
        below: kind and strength of a distortion that both copies have first; None for none.
        side: short side in pixels at which the image is distorted, unless it is smaller.
        seed: of everything random in the distortions.
        quality: what people leave of the score of each copy, in [0, 1]: 1 is imperceptible. NaN for
            kinds that nobody has scored; then the weaker copy counts as the better one.
    """

    kind: str
    strengths: tuple[float, float]
    below: tuple[str, float] | None
    side: int
    seed: int
    quality: tuple[float, float]


def seed_of(*numbers: int) -> int:
    """One 32-bit seed from several numbers, well mixed, the same on every platform."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def number_of(path: Path) -> int:
    """A number for the name of an image, to be mixed into seeds: the same in every table."""
    # A file name that is not UTF-8 is one too.
    name = path.name.encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(name).digest())


def kinds_learned(recipe: Recipe) -> list[str]:
    """The kinds of distortion that a recipe draws from."""
    return [name for name in KINDS if name not in recipe.held_out]


def pair_of(seed: int, recipe: Recipe) -> Pair:
    """The pair of copies of this seed.

    The stronger copy's strength is uniform, and the milder one's is uniform below it, or 0 in a
    quarter of the pairs: mild damage, which real images have, is seen more often than ruin.
    """
    draw = np.random.default_rng(seed)
    kinds = kinds_learned(recipe)
    kind = kinds[draw.integers(len(kinds))]
    stronger = draw.uniform(_LEAST, LEVELS)
    milder = 0.0 if draw.random() < _UNTOUCHED else draw.uniform(0, stronger)
    side = int(draw.integers(SIDES[0], SIDES[1] + 1))
    scored = [name for name in kinds if KINDS[name].opinions is not None and name != kind]
    below, kept = None, 1.0
    if draw.random() < recipe.composed and scored:
        below = (scored[draw.integers(len(scored))], draw.uniform(0, _BELOW))
        kept = _quality(*below)
    strengths = (milder, stronger)
    if KINDS[kind].opinions is None:
        quality = (np.nan, np.nan)
    else:
        quality = (kept * _quality(kind, milder), kept * _quality(kind, stronger))
        if quality[0] < quality[1]:  # not every kind gets worse with every strength
            strengths, quality = strengths[::-1], quality[::-1]
    return Pair(kind, strengths, below, side, int(draw.integers(2**32)), quality)


def seed_of_pair(path: Path, number: int) -> int:
    """The seed of one of an image's pairs."""
    return seed_of(number_of(path), number)


def copies_of(pixels: Pixels, pair: Pair, cut: Callable[[Pixels], Pixels]) -> Pixels:
    """Both copies of a pair as crops ``(2, S, S, 3)``.

    Args:
        pixels: the image, RGB uint8 ``(H, W, 3)``.
        pair: what is done to it.
        cut: takes one crop ``(1, S, S, 3)`` of an image, where it takes the image's own.
    """
    height, width = pixels.shape[:2]
    short = min(height, width)
    if short > pair.side:  # an image is never enlarged before it is distorted
        height, width = ((2 * v * pair.side + short) // (2 * short) for v in (height, width))
        pixels = np.asarray(resize(pixels, height, width, "bicubic"))
    if pair.below is not None:
        pixels = distort(pixels, *pair.below, seed=seed_of(pair.seed, 1))
    copies = [distort(pixels, pair.kind, s, seed=pair.seed) for s in pair.strengths]
    return np.concatenate([cut(copy) for copy in copies])


def random_crops(
    pixels: Pixels,
    preprocessing: Preprocessing,
    size: int,
    count: int,
    seed: int,
    *,
    flip: bool = False,
) -> Pixels:
    """``count`` crops at places drawn from ``seed``, ``(count, S, S, 3)``.

    With ``flip`` every other one is mirrored, and the seed says which.
    """
    plan = dataclasses.replace(preprocessing, crops=f"random:{count}:{seed}")
    crops = crops_from_pixels(pixels, plan, size)
    if flip:
        mirrored = slice(seed % 2, None, 2)
        crops[mirrored] = crops[mirrored, :, ::-1].copy()
    return crops


def qualities(paths: Sequence[Path], count: int, recipe: Recipe) -> FloatArray:
    """What is left of the scores of ``count`` pairs of every image, ``(images, count, 2)``."""
    rows = [
        [pair_of(seed_of_pair(path, number), recipe).quality for number in range(count)]
        for path in paths
    ]
    return np.asarray(rows, dtype=np.float64).reshape(len(paths), count, 2)


def ruin_of(labels: Labels, recipe: Recipe) -> float:
    """The score of an image of which nothing is left, in label units."""
    if labels.direction == "higher":
        return labels.low + recipe.ruined * labels.span
    return labels.high - recipe.ruined * labels.span


@dataclass(frozen=True)
class StoredCrops:
    """An image file -> its crop, and the crops of its distorted copies, pair by pair.

    Attributes:
        preprocessing: working scale and kernel; the plan is not used.
        size: side S of a crop in pixels.
        recipe: which copies are made.
    """

    preprocessing: Preprocessing
    size: int
    recipe: Recipe

    @property
    def count(self) -> int:
        """Crops of an image."""
        return 1 + 2 * self.recipe.copies

    @property
    def key(self) -> list[object]:
        """All that the crops depend on, apart from the image."""
        made = [kinds_learned(self.recipe), self.recipe.composed, self.recipe.copies, SIDES]
        fed = [self.preprocessing.short_side, self.preprocessing.resample]
        return [self.size, fed, made if self.recipe.copies else 0]

    def __call__(self, path: Path) -> Pixels:
        """``(1 + 2 copies, S, S, 3)``."""
        pixels, seed = decode(path), seed_of(number_of(path))

        def cut(image: Pixels) -> Pixels:
            return random_crops(image, self.preprocessing, self.size, 1, seed)

        pairs = (pair_of(seed_of_pair(path, n), self.recipe) for n in range(self.recipe.copies))
        return np.concatenate([cut(pixels), *(copies_of(pixels, pair, cut) for pair in pairs)])


def _quality(kind: str, strength: float) -> float:
    return float(np.clip((mean_opinion(kind, strength) - 1) / (UNDISTORTED_OPINION - 1), 0, 1))
