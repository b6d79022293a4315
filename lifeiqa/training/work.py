"""The work of a phase: its batches, and how the network is judged meanwhile."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor

from lifeiqa.config import Preprocessing
from lifeiqa.model.network import Features, LifeIQA, ScoringModel
from lifeiqa.training.features import Cache, joined
from lifeiqa.training.objective import Batch
from lifeiqa.training.recipe import Phase, Recipe
from lifeiqa.training.sampling import (
    Feed,
    crops_by_plan,
    crops_of_epoch,
    crops_to_cache,
    epoch_of,
    seed_of,
    twins_to_cache,
)
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
    """The work of one phase; ``seed`` is the phase's own."""
    scoring = ScoringModel(network, preprocessing, task.labels).to(accelerator.device)
    size = network.config.crop_size
    learned = Feed(task.train, preprocessing, size, workers)
    held = Feed(task.val, preprocessing, size, workers)
    scale, offset = task.labels.scale_and_offset
    targets = ((torch.tensor(task.train.scores) - offset) / scale).to(accelerator.device)
    common = (recipe, phase, accelerator, seed, targets)
    if phase.cached:
        return _Cached(scoring, learned, held, Cache(scoring, cache), *common)
    return _Images(scoring, learned, held, *common)


class _Images:
    """Everything on crops that are cut anew in every epoch."""

    def __init__(
        self,
        scoring: ScoringModel,
        learned: Feed,
        held: Feed,
        recipe: Recipe,
        phase: Phase,
        accelerator: Accelerator,
        seed: int,
        targets: Tensor,
    ) -> None:
        self.scoring, self.learned, self.held, self.recipe = scoring, learned, held, recipe
        self.phase, self.accelerator, self.seed, self.targets = phase, accelerator, seed, targets
        self.steps = len(epoch_of(len(learned.table), recipe, phase, seed))

    def batches(self, epoch: int) -> Iterator[Batch]:
        seed, own = seed_of(self.seed, epoch), self.accelerator.process_index
        order = epoch_of(len(self.learned.table), self.recipe, self.phase, seed)
        shares = [batch[own :: self.accelerator.num_processes] for batch in order]
        crops = crops_of_epoch(self.learned, shares, seed, flip=self.recipe.flip)
        for share, uint8 in zip(shares, crops, strict=True):
            images = self.scoring.normalise(uint8.to(self.accelerator.device, non_blocking=True))
            yield Batch(images, self.targets[[draw.image for draw in share]])

    @torch.no_grad()
    def validate(self, network: LifeIQA) -> list[float]:
        return validate(network, self.scoring, self.held, self.accelerator)


class _Cached:
    """The decoder and head on features that the backbone gave once."""

    def __init__(
        self,
        scoring: ScoringModel,
        learned: Feed,
        held: Feed,
        cache: Cache,
        recipe: Recipe,
        phase: Phase,
        accelerator: Accelerator,
        seed: int,
        targets: Tensor,
    ) -> None:
        self.recipe, self.accelerator, self.seed = recipe, accelerator, seed
        self.targets, self.images = targets, len(held.table)
        # An epoch sees one of the cached crops of each image.
        self.draws, self.crops = dataclasses.replace(phase, crops=1), phase.crops
        self.steps = len(epoch_of(len(targets), recipe, self.draws, seed))
        flip = recipe.flip
        with accelerator.main_process_first():  # the others read what it has stored
            self.learned = cache.get(
                learned,
                lambda rows: crops_to_cache(learned, rows, phase.crops, flip=flip),
                f"random {phase.crops} {flip}",
            )
            self.twins = None
            if phase.twins:
                self.twins = cache.get(
                    learned,
                    lambda rows: twins_to_cache(learned, rows, phase.crops, flip=flip),
                    f"twins {phase.crops} {flip}",
                )
            self.held = cache.get(held, lambda rows: crops_by_plan(held, rows), "plan")

    def batches(self, epoch: int) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed_of(self.seed, epoch))
        own, processes = self.accelerator.process_index, self.accelerator.num_processes
        order = epoch_of(len(self.targets), self.recipe, self.draws, seed_of(self.seed, epoch))
        for batch in order:
            images = torch.tensor([draw.image for draw in batch])
            crops = torch.randint(self.crops, (len(batch),), generator=generator)
            share = slice(own, None, processes)
            parts = [self.learned.pick(images[share], crops[share])]
            if self.twins is not None:
                chosen = [draw.twin for draw in batch[share]]
                p, c = images[share][chosen], crops[share][chosen]
                parts += [self.twins.pick(p, 2 * c), self.twins.pick(p, 2 * c + 1)]
            features = _moved(joined(parts), self.accelerator.device)
            yield Batch(features, self.targets[images[share]])

    @torch.no_grad()
    def validate(self, network: LifeIQA) -> list[float]:
        scores: list[float] = []
        for start in range(0, self.images, 32):
            features = _moved(self.held.all_of(slice(start, start + 32)), self.accelerator.device)
            crops = self.held.query.shape[1]
            scores += network.decode(features).score.view(-1, crops).mean(1).tolist()
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


def _moved(features: Features, device: torch.device) -> Features:
    memory = None if features.memory is None else features.memory.to(device)
    return Features(features.query.to(device), memory)
