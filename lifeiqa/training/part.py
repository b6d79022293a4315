"""What every kind of work of a phase shares: the order of an epoch, and the targets of a batch."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor

from lifeiqa.config import Labels
from lifeiqa.model.network import Features, ScoringModel
from lifeiqa.training.copies import ruin_of, seed_of
from lifeiqa.training.objective import Batch
from lifeiqa.training.recipe import Phase, Recipe
from lifeiqa.training.sampling import Draw, Feed, epoch_of


class Part:
    """One phase of one run on this process.

    Args:
        scoring: holds the network.
        learned: images to learn from.
        held: images to validate on.
        recipe: of the run.
        phase: which one.
        accelerator: knows the device and the processes.
        seed: the phase's own.
        labels: range and direction of the scores.

    Attributes:
        draws: how an epoch draws; the phase itself unless something else is set.
        own: this process's share of a batch.
        targets: ``(images,)`` scores in units of the network's output.
    """

    def __init__(
        self,
        scoring: ScoringModel,
        learned: Feed,
        held: Feed,
        recipe: Recipe,
        phase: Phase,
        accelerator: Accelerator,
        seed: int,
        labels: Labels,
    ) -> None:
        self.scoring, self.learned, self.held = scoring, learned, held
        self.recipe, self.phase, self.draws, self.seed = recipe, phase, phase, seed
        self.accelerator, self.device = accelerator, accelerator.device
        self.own = slice(accelerator.process_index, None, accelerator.num_processes)
        scale, offset = labels.scale_and_offset
        self.targets = (torch.tensor(learned.table.scores) - offset) / scale
        ruin = torch.tensor((ruin_of(labels, recipe) - offset) / scale)
        # An image that people find worse than ruined stays where it is, however it is distorted.
        worse = torch.minimum if labels.direction == "higher" else torch.maximum
        self.ruins = worse(ruin, self.targets)

    def epoch(self, epoch: int) -> list[list[Draw]]:
        """The batches of an epoch, for all processes together."""
        images = len(self.learned.table)
        return epoch_of(images, self.recipe, self.draws, seed_of(self.seed, epoch))

    def batch(self, inputs: Tensor | Features, share: list[Draw], left: Tensor | None) -> Batch:
        """A batch with its targets, on the device.

        Args:
            inputs: see `Batch`.
            share: the draws of this process.
            left: ``(T, 2)`` quality that is left of the two copies of each draw with copies.
        """
        rows = torch.tensor([draw.image for draw in share])
        targets, copies = self.targets[rows], None
        if left is not None and len(left):
            copied = rows[[draw.twin for draw in share]]
            own, ruin = self.targets[copied, None], self.ruins[copied, None]
            copies = (ruin + (own - ruin) * left.to(own.dtype)).T.flatten()  # (T, 2) -> (2 T,)
            copies = copies.to(self.device)
        return Batch(inputs, targets.to(self.device), copies)
