"""The phases of a run: what is trained, on which batches, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lifeiqa.config import Labels, Preprocessing
from lifeiqa.crops import CropPlan
from lifeiqa.data.table import Table
from lifeiqa.errors import DatasetError
from lifeiqa.image import decode
from lifeiqa.model.network import LifeIQA, Prediction, ScoringModel
from lifeiqa.training.features import (
    cache_features,
    crops_of,
    picture_seed,
    random_crops,
    training_crops_of,
)
from lifeiqa.training.recipe import Recipe

_VALIDATION_BATCH = 32


@dataclass(frozen=True)
class Task:
    """What is learned: pictures, their scores, and how they are fed.

    Attributes:
        name: of the model.
        train: pictures to learn from.
        val: pictures that choose the checkpoint.
        labels: the range of the scores.
        short_side: working scale in pixels, or None.
        crops: crop plan of validation and, later, of the model.

    Raises:
        DatasetError: a score lies outside the label range.
    """

    name: str
    train: Table
    val: Table
    labels: Labels
    short_side: int | None
    crops: str

    def __post_init__(self) -> None:
        low, high = self.labels.low, self.labels.high
        for table in (self.train, self.val):
            if min(table.scores) < low or max(table.scores) > high:
                raise DatasetError(
                    f"{table.name}: scores run from {min(table.scores)} to {max(table.scores)}, "
                    f"outside the label range {low}..{high}. Give the range with --label-range"
                )

    def targets(self) -> Tensor:
        """Training scores ``(n,)`` in the units of the network's output."""
        scale, offset = self.labels.scale_and_offset
        return (torch.tensor(self.train.scores) - offset) / scale


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs with its own parameters, batches and way through the network.

    Attributes:
        name: for the log and for resuming.
        epochs: how many.
        steps: batches of an epoch.
        groups: parameter groups of AdamW.
        batches: epoch -> pairs of inputs and targets.
        predict: network and inputs -> prediction.
        validate: network -> a score for each validation picture, in units of its output.
    """

    name: str
    epochs: int
    steps: int
    groups: list[dict[str, Any]]
    batches: Callable[[int], Iterator[tuple[Any, Tensor]]]
    predict: Callable[[LifeIQA, Any], Prediction]
    validate: Callable[[LifeIQA], list[float]]


def frozen_phase(
    network: LifeIQA, task: Task, preprocessing: Preprocessing, recipe: Recipe
) -> Phase:
    """The decoder and head on cached features of the backbone as it came."""
    cached = _Cached(network, task, preprocessing, recipe)
    return cached.phase("frozen", recipe.frozen_epochs, recipe.frozen_lr, first_epoch=0)


def refine_phase(
    network: LifeIQA, task: Task, preprocessing: Preprocessing, recipe: Recipe
) -> Phase:
    """The decoder and head on cached features of the backbone that they were trained with."""
    cached = _Cached(network, task, preprocessing, recipe)
    before = recipe.frozen_epochs + recipe.epochs
    return cached.phase("refine", recipe.refine_epochs, recipe.refine_lr, first_epoch=before)


class _Cached:
    """Features of both tables; the backbone runs over every picture once, when this is made."""

    def __init__(
        self, network: LifeIQA, task: Task, preprocessing: Preprocessing, recipe: Recipe
    ) -> None:
        self.network, self.task, self.recipe = network, task, recipe
        size = network.config.crop_size
        scoring = ScoringModel(network, preprocessing, task.labels)
        crops = training_crops_of(task.train, preprocessing, size, recipe.frozen_crops, recipe.seed)
        self.learned = cache_features(scoring, crops)
        self.held = cache_features(scoring, crops_of(task.val, preprocessing, size))

    def phase(self, name: str, epochs: int, lr: float, *, first_epoch: int) -> Phase:
        """A phase on these features; ``first_epoch`` counts from the beginning of the run."""
        task, recipe, targets = self.task, self.recipe, self.task.targets()

        def batches(epoch: int) -> Iterator[tuple[Any, Tensor]]:
            for pictures in _order(len(task.train), recipe, first_epoch + epoch):
                crops = torch.randint(recipe.frozen_crops, (len(pictures),))
                yield self.learned.pick(pictures, crops), targets[pictures]

        return Phase(
            name,
            epochs,
            _steps(task, recipe),
            _groups(_decoder_of(self.network), lr, recipe.weight_decay),
            batches,
            lambda network, features: network.decode(features),
            self.validate,
        )

    def validate(self, network: LifeIQA) -> list[float]:
        """A score for each validation picture, in units of the network's output."""
        count = CropPlan.parse(self.task.crops).count
        scores: list[float] = []
        for start in range(0, len(self.task.val), _VALIDATION_BATCH):
            features = self.held.all_of(slice(start, start + _VALIDATION_BATCH))
            scores += _per_picture(network.decode(features).score, count)
        return scores


def joint_phase(
    network: LifeIQA, task: Task, preprocessing: Preprocessing, recipe: Recipe
) -> Phase:
    """Everything together, on one random crop of each picture an epoch."""
    size = network.config.crop_size
    scoring = ScoringModel(network, preprocessing, task.labels)
    targets = task.targets()

    def crop(epoch: int, index: int) -> Tensor:
        seed = picture_seed(recipe.seed, epoch, index)
        pixels = decode(task.train.paths[index])
        return torch.from_numpy(random_crops(pixels, preprocessing, size, 1, seed))

    def batches(epoch: int) -> Iterator[tuple[Any, Tensor]]:
        for pictures in _order(len(task.train), recipe, recipe.frozen_epochs + epoch):
            crops = torch.cat([crop(epoch, index) for index in pictures.tolist()])
            yield scoring.normalise(crops), targets[pictures]

    backbone = []
    for name, parameter in network.backbone.features.named_parameters():
        frozen = any(name.startswith(prefix) for prefix in recipe.frozen_layers)
        parameter.requires_grad_(not frozen)
        if parameter.requires_grad:
            backbone.append(parameter)
    return Phase(
        "joint",
        recipe.epochs,
        _steps(task, recipe),
        _groups(_decoder_of(network), recipe.lr, recipe.weight_decay)
        + _groups(backbone, recipe.backbone_lr, recipe.weight_decay),
        batches,
        lambda network, images: network(images),
        lambda network: validate(network, task, preprocessing),
    )


@torch.no_grad()
def validate(network: LifeIQA, task: Task, preprocessing: Preprocessing) -> list[float]:
    """A score for each validation picture, in units of the network's output."""
    scoring = ScoringModel(network, preprocessing, task.labels).eval()
    plan = CropPlan.parse(task.crops)
    scores: list[float] = []
    for crops in crops_of(task.val, preprocessing, network.config.crop_size):
        prediction = network(scoring.normalise(torch.from_numpy(crops)))
        scores += _per_picture(prediction.score, plan.count)
    return scores


def _steps(task: Task, recipe: Recipe) -> int:
    return max(1, len(task.train) // recipe.batch_size)


def _order(pictures: int, recipe: Recipe, epoch: int) -> Iterator[Tensor]:
    """Indices of each step's pictures; what does not fill a batch waits for another epoch.

    The generator of torch is seeded by the epoch, so that a resumed run draws what an unbroken
    one would have drawn.
    """
    torch.manual_seed(picture_seed(recipe.seed, epoch))
    size = min(recipe.batch_size, pictures)
    shuffled = torch.randperm(pictures)[: pictures // size * size]
    yield from shuffled.view(-1, size)


def _per_picture(scores: Tensor, crops: int) -> list[float]:
    means: list[float] = scores.view(-1, crops).mean(1).tolist()
    return means


def _decoder_of(network: LifeIQA) -> list[nn.Parameter]:
    return [*network.decoder.parameters(), *network.head.parameters()]


def _groups(parameters: list[nn.Parameter], lr: float, decay: float) -> list[dict[str, Any]]:
    """AdamW groups: no weight decay on biases, norms and scalars."""
    return [
        {"params": [p for p in parameters if p.ndim > 1], "lr": lr, "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "lr": lr, "weight_decay": 0.0},
    ]
