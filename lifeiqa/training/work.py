"""The work of a phase: its batches, and how the network is judged meanwhile."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor

from lifeiqa.config import Preprocessing
from lifeiqa.errors import ConfigError
from lifeiqa.model.network import Features, LifeIQA, ScoringModel
from lifeiqa.training.copies import kinds_learned, seed_of
from lifeiqa.training.features import Cache, CachedFeatures, joined
from lifeiqa.training.objective import Batch
from lifeiqa.training.part import Part
from lifeiqa.training.recipe import Phase, Recipe
from lifeiqa.training.sampling import (
    Feed,
    crops_by_plan,
    crops_of_epoch,
    crops_to_cache,
    pair_of_draw,
    pairs_to_cache,
    twins_to_cache,
)
from lifeiqa.training.stored import Stored, StoredWork
from lifeiqa.training.task import Task


class Work(Protocol):
    """What the loop asks of a phase.

    Attributes:
        steps: batches of an epoch.
    """

    steps: int

    def batches(self, epoch: int) -> Iterator[Batch]:
        """This process's share of each batch, on its device."""

    def validate(self, network: LifeIQA) -> list[float]:
        """A score for each validation image, in units of the network's output."""


def work_of(
    network: LifeIQA,
    task: Task,
    preprocessing: Preprocessing,
    recipe: Recipe,
    phase: Phase,
    accelerator: Accelerator,
    *,
    workers: int,
    cache: Path | None,
    seed: int,
) -> Work:
    """The work of one phase; ``seed`` is the phase's own.

    Raises:
        ConfigError: the recipe stores crops, and there is no cache to store them in.
    """
    scoring = ScoringModel(network, preprocessing, task.labels).to(accelerator.device)
    size = network.config.crop_size
    learned = Feed(task.train, preprocessing, size, workers)
    held = Feed(task.val, preprocessing, size, workers)
    part = Part(scoring, learned, held, recipe, phase, accelerator, seed, task.labels)
    if not recipe.stored:
        return _Cached(part, Cache(scoring, cache)) if phase.cached else _Images(part)
    if cache is None:
        raise ConfigError("the recipe stores crops: name a folder for them with --cache")
    stored = Stored(learned, recipe, cache)
    if phase.cached:
        return _Cached(part, Cache(scoring, cache), stored)
    return StoredWork(part, stored)


class _Images:
    """Everything on crops that are cut anew in every epoch."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.steps = len(part.epoch(0))

    def batches(self, epoch: int) -> Iterator[Batch]:
        part = self.part
        seed, feed = seed_of(part.seed, epoch), part.learned
        shares = [batch[part.own] for batch in part.epoch(epoch)]
        crops = crops_of_epoch(feed, shares, seed, part.recipe)
        for share, uint8 in zip(shares, crops, strict=True):
            images = part.scoring.normalise(uint8.to(part.device, non_blocking=True))
            pairs = [pair_of_draw(feed, draw, seed, part.recipe) for draw in share if draw.twin]
            left = torch.tensor([pair.quality for pair in pairs]).reshape(-1, 2)
            yield part.batch(images, share, left)

    @torch.no_grad()
    def validate(self, network: LifeIQA) -> list[float]:
        return validate(network, self.part.scoring, self.part.held, self.part.accelerator)


class _Cached:
    """The decoder and head on features that the backbone gave once."""

    def __init__(self, part: Part, cache: Cache, stored: Stored | None = None) -> None:
        self.part = part
        recipe, phase, learned = part.recipe, part.phase, part.learned
        # An epoch sees one of the cached crops of each image.
        part.draws, self.crops = dataclasses.replace(phase, crops=1), phase.crops
        self.steps = len(part.epoch(0))
        self.twins: CachedFeatures | None = None
        with part.accelerator.main_process_first():  # the others read what it has stored
            if stored is not None:
                whole = cache.get(learned, stored.of_rows, stored.plan)
                self.learned, self.twins = whole.crops(slice(1)), whole.crops(slice(1, None))
                self.left = stored.left
            else:
                self.learned = cache.get(
                    learned,
                    lambda rows: crops_to_cache(learned, rows, phase.crops, flip=recipe.flip),
                    f"random {phase.crops} {recipe.flip}",
                )
            if phase.twins and stored is None:
                made = [kinds_learned(recipe), recipe.composed, recipe.copies]
                self.twins = cache.get(
                    learned,
                    lambda rows: twins_to_cache(learned, rows, phase.crops, recipe),
                    f"twins {phase.crops} {recipe.flip} {made}",
                )
                pairs = [pairs_to_cache(path, phase.crops, recipe) for path in learned.table.paths]
                self.left = torch.tensor([[pair.quality for pair in own] for own in pairs])
            self.held = cache.each(part.held, lambda rows: crops_by_plan(part.held, rows), "plan")

    def batches(self, epoch: int) -> Iterator[Batch]:
        part = self.part
        generator = torch.Generator().manual_seed(seed_of(part.seed, epoch))
        for batch in part.epoch(epoch):
            images = torch.tensor([draw.image for draw in batch])
            crops = torch.randint(self.crops, (len(batch),), generator=generator)
            numbers = crops
            if self.twins is not None and part.recipe.stored:
                numbers = torch.randint(part.recipe.copies, (len(batch),), generator=generator)
            share, chosen = batch[part.own], [draw.twin for draw in batch[part.own]]
            parts = [self.learned.pick(images[part.own], crops[part.own])]
            left = None
            if part.phase.twins and self.twins is not None:
                p, n = images[part.own][chosen], numbers[part.own][chosen]
                parts += [self.twins.pick(p, 2 * n), self.twins.pick(p, 2 * n + 1)]
                left = self.left[p, n]
            yield part.batch(_moved(joined(parts), part.device), share, left)

    @torch.no_grad()
    def validate(self, network: LifeIQA) -> list[float]:
        scores: list[float] = []
        for start in range(0, len(self.held), 32):
            images = self.held[start : start + 32]
            scores += mean_scores(network, images, self.part.device).tolist()
        return scores


@torch.no_grad()
def validate(
    network: LifeIQA, scoring: ScoringModel, held: Feed, accelerator: Accelerator
) -> list[float]:
    """A score for each image, in units of the network's output; processes share the images."""
    rows = range(accelerator.process_index, len(held.table), accelerator.num_processes)
    scores = torch.zeros(len(held.table), device=accelerator.device)
    for row, crops in zip(rows, crops_by_plan(held, rows), strict=True):
        prediction = network(scoring.normalise(crops.to(accelerator.device)))
        scores[row] = prediction.score.mean()
    total: Tensor = accelerator.reduce(scores, "sum")
    values: list[float] = total.tolist()
    return values


def mean_scores(
    network: LifeIQA, images: Sequence[Features], device: torch.device | None = None
) -> Tensor:
    """``(images,)`` mean score over the crops of each image, from the features of its crops."""
    scores = network.decode(_moved(joined(images), device)).score
    own = torch.split(scores, [len(image.query) for image in images])
    return torch.stack([crops.mean() for crops in own])


def _moved(features: Features, device: torch.device | None) -> Features:
    memory = None if features.memory is None else features.memory.to(device)
    return Features(features.query.to(device), memory)
