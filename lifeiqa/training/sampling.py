"""Crops for training: where they are cut, how they are drawn, and who decodes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lifeiqa.config import Preprocessing
from lifeiqa.data.distortions import LEVELS, STRENGTHS, distort
from lifeiqa.data.table import Table
from lifeiqa.preprocess.crops import crops_from_pixels
from lifeiqa.preprocess.decode import Pixels, decode
from lifeiqa.training.recipe import Phase, Recipe


@dataclasses.dataclass(frozen=True)
class Feed:
    """Which images are fed, and how they are cut.

    Attributes:
        table: the images.
        preprocessing: working scale, kernel and crop plan.
        size: side S of a crop in pixels.
        workers: processes that decode; 0 decodes in this one.
    """

    table: Table
    preprocessing: Preprocessing
    size: int
    workers: int = 0


class Draw(NamedTuple):
    """One crop of an epoch.

    Attributes:
        image: row of the table.
        number: which of the image's crops.
        twin: whether it comes with two distorted forms.
    """

    image: int
    number: int
    twin: bool


def epoch_of(images: int, recipe: Recipe, phase: Phase, seed: int) -> list[list[Draw]]:
    """The batches of an epoch, in order; what does not fill a batch waits for another epoch.

    Every process draws the same, and takes its share of each batch.
    """
    generator = np.random.default_rng(seed)
    draws = np.array([(p, n) for p in range(images) for n in range(phase.crops)])
    generator.shuffle(draws)
    size = min(recipe.batch_size, len(draws))
    whole = draws[: len(draws) // size * size].reshape(-1, size, 2).tolist()
    return [[Draw(p, n, i < phase.twins) for i, (p, n) in enumerate(batch)] for batch in whole]


def random_crops(
    pixels: Pixels, preprocessing: Preprocessing, size: int, count: int, seed: int, *, flip: bool
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


def seed_of(*numbers: int) -> int:
    """One 32-bit seed from several numbers, well mixed, the same on every platform."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def number_of(path: Path) -> int:
    """A number for the name of an image, to be mixed into seeds: the same in every table."""
    # A file name that is not UTF-8 is one too.
    name = path.name.encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(name).digest())


def crops_by_plan(feed: Feed, rows: Sequence[int]) -> Iterator[Tensor]:
    """The crops of these images by the model's own plan, uint8 ``(crops, S, S, 3)`` each."""
    return _loaded(_ByPlan(feed), rows, feed.workers)


def crops_to_cache(feed: Feed, rows: Sequence[int], count: int, *, flip: bool) -> Iterator[Tensor]:
    """Random crops of these images, uint8 ``(count, S, S, 3)`` each.

    They depend on the image's name, on neither its row nor a run's seed, so that runs share them.
    """
    return _loaded(_ToCache(feed, count, flip), rows, feed.workers)


def crops_of_epoch(feed: Feed, batches: Sequence[Sequence[Draw]], seed: int, *, flip: bool) -> (
    Iterator[Tensor]
):  # fmt: skip
    """The crops of each batch, uint8 ``(B + 2 T, S, S, 3)``, as `objective.Batch` orders them."""
    return iter(
        DataLoader(
            _OfEpoch(feed, seed, flip),
            batch_sampler=batches,  # type: ignore[arg-type]  # a sampler of draws, not of rows
            num_workers=feed.workers,
            collate_fn=_twins_last,
        )
    )


def twins_to_cache(feed: Feed, rows: Sequence[int], count: int, *, flip: bool) -> Iterator[Tensor]:
    """Two distorted forms of ``count`` random crops of these images, ``(2 count, S, S, 3)`` each.

    The milder form of a crop comes right before the stronger one.
    """
    return _loaded(_TwinsToCache(feed, count, flip), rows, feed.workers)


class _ByPlan(Dataset[Tensor]):
    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    def __getitem__(self, row: int) -> Tensor:
        pixels = decode(self.feed.table.paths[row])
        return torch.from_numpy(crops_from_pixels(pixels, self.feed.preprocessing, self.feed.size))


class _ToCache(Dataset[Tensor]):
    def __init__(self, feed: Feed, count: int, flip: bool) -> None:
        self.feed, self.count, self.flip = feed, count, flip

    def __getitem__(self, row: int) -> Tensor:
        feed, path = self.feed, self.feed.table.paths[row]
        seed = seed_of(number_of(path))
        crops = random_crops(
            decode(path), feed.preprocessing, feed.size, self.count, seed, flip=self.flip
        )
        return torch.from_numpy(crops)


class _TwinsToCache(_ToCache):
    def __getitem__(self, row: int) -> Tensor:
        crops = super().__getitem__(row).numpy()
        own = number_of(self.feed.table.paths[row])
        seeds = [seed_of(own, number) for number in range(len(crops))]
        return torch.from_numpy(
            np.concatenate([_twins(*pair) for pair in zip(crops, seeds, strict=True)])
        )


class _OfEpoch(Dataset[Tensor]):
    """A draw -> ``(1, S, S, 3)``, or ``(3, S, S, 3)`` with a milder and a stronger distortion."""

    def __init__(self, feed: Feed, seed: int, flip: bool) -> None:
        self.feed, self.seed, self.flip = feed, seed, flip

    def __getitem__(self, draw: Draw) -> Tensor:
        feed, seed = self.feed, seed_of(self.seed, draw.image, draw.number)
        pixels = decode(feed.table.paths[draw.image])
        crops = random_crops(pixels, feed.preprocessing, feed.size, 1, seed, flip=self.flip)
        if draw.twin:
            crops = np.concatenate([crops, _twins(crops[0], seed)])
        return torch.from_numpy(crops)


def _twins(crop: Pixels, seed: int) -> Pixels:
    """One kind of distortion at two levels, ``(2, S, S, 3)``; the milder may be none at all."""
    generator = np.random.default_rng(seed)
    kind = list(STRENGTHS)[generator.integers(len(STRENGTHS))]
    levels = sorted(generator.choice(LEVELS + 1, 2, replace=False).tolist())
    return np.stack([distort(crop, kind, level, seed=seed) for level in levels])


def _twins_last(crops: list[Tensor]) -> Tensor:
    twins = [own for own in crops if len(own) > 1]
    return torch.cat([own[:1] for own in crops] + [own[i : i + 1] for i in (1, 2) for own in twins])


def _loaded(dataset: Dataset[Tensor], rows: Sequence[int], workers: int) -> Iterator[Tensor]:
    # batch_size None: an image is a batch already.
    return iter(DataLoader(dataset, sampler=rows, batch_size=None, num_workers=workers))
