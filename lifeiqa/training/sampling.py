"""Crops for training: where they are cut, how they are drawn, and who decodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lifeiqa.config import Preprocessing
from lifeiqa.data.table import Table
from lifeiqa.preprocess.crops import crops_from_pixels
from lifeiqa.preprocess.decode import Pixels, decode
from lifeiqa.training.copies import (
    Pair,
    copies_of,
    number_of,
    pair_of,
    random_crops,
    seed_of,
    seed_of_pair,
)
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
        twin: whether it comes with two distorted copies.
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


def pair_of_draw(feed: Feed, draw: Draw, seed: int, recipe: Recipe) -> Pair:
    """The distorted copies that come with a draw; ``seed`` is that of the epoch."""
    own = seed_of(seed, draw.image, draw.number)
    if recipe.copies:
        own = seed_of_pair(feed.table.paths[draw.image], own % recipe.copies)
    return pair_of(own, recipe)


def pairs_to_cache(path: Path, count: int, recipe: Recipe) -> list[Pair]:
    """The distorted copies of ``count`` cached crops of an image."""
    numbers = [number % recipe.copies if recipe.copies else number for number in range(count)]
    return [pair_of(seed_of_pair(path, number), recipe) for number in numbers]


def crops_by_plan(feed: Feed, rows: Sequence[int]) -> Iterator[Tensor]:
    """The crops of these images by the model's own plan, uint8 ``(crops, S, S, 3)`` each.

    With plan ``cover`` the number of crops depends on the image.
    """
    return _loaded(_ByPlan(feed), rows, feed.workers)


def crops_to_cache(feed: Feed, rows: Sequence[int], count: int, *, flip: bool) -> Iterator[Tensor]:
    """Random crops of these images, uint8 ``(count, S, S, 3)`` each.

    They depend on the image's name, on neither its row nor a run's seed, so that runs share them.
    """
    return _loaded(_ToCache(feed, count, flip), rows, feed.workers)


def crops_of_epoch(
    feed: Feed, batches: Sequence[Sequence[Draw]], seed: int, recipe: Recipe
) -> Iterator[Tensor]:
    """The crops of each batch, uint8 ``(B + 2 T, S, S, 3)``, as `objective.Batch` orders them."""
    return iter(
        DataLoader(
            _OfEpoch(feed, seed, recipe),
            batch_sampler=batches,  # type: ignore[arg-type]  # a sampler of draws, not of rows
            num_workers=feed.workers,
            collate_fn=_twins_last,
        )
    )


def twins_to_cache(feed: Feed, rows: Sequence[int], count: int, recipe: Recipe) -> Iterator[Tensor]:
    """Two distorted copies of ``count`` random crops of these images, ``(2 count, S, S, 3)`` each.

    The better copy of a crop comes right before the worse one.
    """
    return _loaded(_TwinsToCache(feed, count, recipe), rows, feed.workers)


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
        path = self.feed.table.paths[row]
        return torch.from_numpy(self.cut(decode(path), path))

    def cut(self, pixels: Pixels, path: Path) -> Pixels:
        feed, seed = self.feed, seed_of(number_of(path))
        return random_crops(pixels, feed.preprocessing, feed.size, self.count, seed, flip=self.flip)


class _TwinsToCache(_ToCache):
    def __init__(self, feed: Feed, count: int, recipe: Recipe) -> None:
        super().__init__(feed, count, recipe.flip)
        self.recipe = recipe

    def __getitem__(self, row: int) -> Tensor:
        path = self.feed.table.paths[row]
        pixels = decode(path)

        def cut_like(number: int) -> Callable[[Pixels], Pixels]:
            return lambda copy: self.cut(copy, path)[number : number + 1]

        pairs = enumerate(pairs_to_cache(path, self.count, self.recipe))
        made = [copies_of(pixels, pair, cut_like(number)) for number, pair in pairs]
        return torch.from_numpy(np.concatenate(made))


class _OfEpoch(Dataset[Tensor]):
    """A draw -> ``(1, S, S, 3)``, or ``(3, S, S, 3)`` with its two distorted copies."""

    def __init__(self, feed: Feed, seed: int, recipe: Recipe) -> None:
        self.feed, self.seed, self.recipe = feed, seed, recipe

    def __getitem__(self, draw: Draw) -> Tensor:
        feed, seed = self.feed, seed_of(self.seed, draw.image, draw.number)
        pixels = decode(feed.table.paths[draw.image])

        def cut(image: Pixels) -> Pixels:
            return random_crops(
                image, feed.preprocessing, feed.size, 1, seed, flip=self.recipe.flip
            )

        crops = cut(pixels)
        if draw.twin:
            pair = pair_of_draw(feed, draw, self.seed, self.recipe)
            crops = np.concatenate([crops, copies_of(pixels, pair, cut)])
        return torch.from_numpy(crops)


def _twins_last(crops: list[Tensor]) -> Tensor:
    twins = [own for own in crops if len(own) > 1]
    return torch.cat([own[:1] for own in crops] + [own[i : i + 1] for i in (1, 2) for own in twins])


def _loaded(dataset: Dataset[Tensor], rows: Sequence[int], workers: int) -> Iterator[Tensor]:
    # batch_size None: an image is a batch already.
    return iter(DataLoader(dataset, sampler=rows, batch_size=None, num_workers=workers))
