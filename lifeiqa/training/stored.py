"""The work of a phase on stored crops: read, mirrored and shifted on the device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from lifeiqa.model.network import LifeIQA
from lifeiqa.training.copies import StoredCrops, qualities, seed_of
from lifeiqa.training.objective import Batch
from lifeiqa.training.part import Part
from lifeiqa.training.recipe import Recipe
from lifeiqa.training.sampling import Draw, Feed, crops_by_plan
from lifeiqa.training.store import CropStore

_AHEAD = 3
"""Batches that are read while the device works on another one."""
_JUDGED = 32
"""Crops of a pass of validation."""


class Stored:
    """The stored crops of the images to learn from, made where they are missing.

    Attributes:
        plan: names the crops, for the cache of features.
        crops: ``(rows, 1 + 2 copies, S, S, 3)`` of every image in the store.
        rows: ``(images,)`` those of this table.
        left: ``(images, copies, 2)`` quality that distortion leaves of each copy.
    """

    def __init__(self, feed: Feed, recipe: Recipe, folder: Path) -> None:
        make = StoredCrops(feed.preprocessing, feed.size, recipe)
        store = CropStore(folder, make.key, make.count, feed.size)
        self.plan = f"stored {make.key}"
        rows = store.fill(feed.table.paths, make, workers=feed.workers)
        self.rows, self.crops = torch.from_numpy(rows), torch.from_numpy(store.crops())
        self.left = torch.from_numpy(qualities(feed.table.paths, recipe.copies, recipe))

    def of_rows(self, rows: Sequence[int]) -> Iterator[Tensor]:
        """All crops of some images of the table, ``(1 + 2 copies, S, S, 3)`` each."""
        return (self.crops[self.rows[row]] for row in rows)


class StoredWork:
    """Everything on stored crops, each epoch in another order and with other mirror images."""

    def __init__(self, part: Part, stored: Stored) -> None:
        self.part, self.stored = part, stored
        self.steps = len(part.epoch(0))
        self.flat = stored.crops.flatten(0, 1)  # (rows * count, S, S, 3)
        self.held: list[Tensor] | None = None

    def batches(self, epoch: int) -> Iterator[Batch]:
        part, seed = self.part, seed_of(self.part.seed, epoch)
        generator = torch.Generator().manual_seed(seed)
        with ThreadPoolExecutor(1) as pool:
            waiting = deque[tuple[Future[Tensor], list[Draw], Tensor, Tensor, list[int]]]()
            for batch in part.epoch(epoch):
                share = batch[part.own]
                # All processes draw for the whole batch, so that each draws the same.
                size = (len(batch),)
                mirrored = torch.rand(size, generator=generator)[part.own] < 0.5
                pairs = torch.randint(max(1, part.recipe.copies), size, generator=generator)
                reach = part.recipe.shift
                shift = torch.randint(-reach, reach + 1, (2,), generator=generator).tolist()
                rows, left, mirrored = self._of(share, pairs[part.own], mirrored)
                waiting.append((pool.submit(self._read, rows), share, left, mirrored, shift))
                if len(waiting) > _AHEAD:
                    yield self._batch(*waiting.popleft())
            while waiting:
                yield self._batch(*waiting.popleft())

    def _of(
        self, share: list[Draw], pairs: Tensor, mirrored: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of `flat`, qualities ``(T, 2)``, and which crops are mirrored, of one batch."""
        images = torch.tensor([draw.image for draw in share])
        chosen = torch.tensor([draw.twin for draw in share])
        first = self.stored.rows[images] * self.stored.crops.shape[1]
        better = first[chosen] + 1 + 2 * pairs[chosen]
        rows = torch.cat([first, better, better + 1])
        mirrored = torch.cat([mirrored, mirrored[chosen], mirrored[chosen]])
        if not self.part.recipe.flip:
            mirrored = torch.zeros_like(mirrored)
        if not chosen.any():
            return rows, self.stored.left.new_empty((0, 2)), mirrored
        return rows, self.stored.left[images[chosen], pairs[chosen]], mirrored

    def _read(self, rows: Tensor) -> Tensor:
        pinned = self.part.device.type == "cuda"
        out = torch.empty((len(rows), *self.flat.shape[1:]), dtype=torch.uint8, pin_memory=pinned)
        return torch.index_select(self.flat, 0, rows, out=out)

    def _batch(
        self,
        read: Future[Tensor],
        share: list[Draw],
        left: Tensor,
        mirrored: Tensor,
        shift: list[int],
    ) -> Batch:
        device = self.part.device
        crops = read.result().to(device, non_blocking=True)  # (B + 2 T, S, S, 3)
        crops = augmented(crops, mirrored.to(device, non_blocking=True), shift)
        return self.part.batch(self.part.scoring.normalise(crops), share, left)

    @torch.no_grad()
    def validate(self, network: LifeIQA) -> list[float]:
        part, table = self.part, self.part.held.table
        rows = range(len(table))[part.own]
        if self.held is None:
            self.held = list(crops_by_plan(part.held, rows))
        scores = torch.zeros(len(table), device=part.device)
        counts = [len(crops) for crops in self.held]
        given = [
            network(part.scoring.normalise(crops.to(part.device))).score
            for crops in torch.split(torch.cat(self.held), _JUDGED)
        ]
        means = [own.mean() for own in torch.split(torch.cat(given), counts)]
        scores[list(rows)] = torch.stack(means)
        values: list[float] = part.accelerator.reduce(scores, "sum").tolist()
        return values


def augmented(crops: Tensor, mirrored: Tensor, shift: Sequence[int]) -> Tensor:
    """Crops ``(B, S, S, 3)``, some of them mirrored, all shifted alike, with reflected edges.

    Args:
        crops: uint8.
        mirrored: ``(B,)`` bool.
        shift: pixels down and to the right, each below S; negative ones go up and to the left.
    """
    crops = torch.where(mirrored.view(-1, 1, 1, 1), crops.flip(2), crops)
    for axis, distance in enumerate(shift, 1):
        if distance:
            last = crops.shape[axis] - 1
            source = (torch.arange(last + 1, device=crops.device) - distance).abs()
            source = torch.where(source > last, 2 * last - source, source)
            crops = crops.index_select(axis, source)
    return crops
