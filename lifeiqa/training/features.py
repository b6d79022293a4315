"""Crops for training, and the cached features of a frozen backbone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lifeiqa.config import Preprocessing
from lifeiqa.crops import crops_from_pixels
from lifeiqa.data.table import Table
from lifeiqa.image import Pixels, decode
from lifeiqa.model.network import Features, ScoringModel


class CachedFeatures(NamedTuple):
    """What a frozen backbone gives for several crops of every picture, in half precision.

    Attributes:
        query: ``(n, crops, C_q)``.
        memory: ``(n, crops, M, C_m)``, or None without an attended stage.
    """

    query: Tensor
    memory: Tensor | None

    def pick(self, pictures: Tensor, crops: Tensor) -> Features:
        """Float features of one crop each of some pictures, ``(B,)`` indices both."""
        memory = None if self.memory is None else self.memory[pictures, crops].float()
        return Features(self.query[pictures, crops].float(), memory)

    def all_of(self, pictures: slice) -> Features:
        """Float features of every crop of some pictures, picture by picture."""
        memory = None if self.memory is None else self.memory[pictures].flatten(0, 1).float()
        return Features(self.query[pictures].flatten(0, 1).float(), memory)


def random_crops(
    pixels: Pixels, preprocessing: Preprocessing, size: int, count: int, seed: int
) -> Pixels:
    """``count`` crops at places drawn from ``seed``; every other one is mirrored."""
    plan = dataclasses.replace(preprocessing, crops=f"random:{count}:{seed}")
    crops = crops_from_pixels(pixels, plan, size)
    flip = slice(seed % 2, None, 2)
    crops[flip] = crops[flip, :, ::-1].copy()
    return crops


def crops_of(table: Table, preprocessing: Preprocessing, size: int) -> Iterator[Pixels]:
    """The crops of each picture by the model's own plan, ``(crops, S, S, 3)``."""
    for path in table.paths:
        yield crops_from_pixels(decode(path), preprocessing, size)


def training_crops_of(
    table: Table, preprocessing: Preprocessing, size: int, count: int, seed: int
) -> Iterator[Pixels]:
    """`random_crops` of each picture, a seed of its own for each."""
    for index, path in enumerate(table.paths):
        yield random_crops(decode(path), preprocessing, size, count, picture_seed(seed, index))


def picture_seed(*numbers: int) -> int:
    """One 32-bit seed from several numbers, well mixed, the same on every platform."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


@torch.inference_mode()
def cache_features(model: ScoringModel, pictures: Iterator[Pixels]) -> CachedFeatures:
    """Run the backbone once over the crops of every picture."""
    model.eval()
    queries, memories = [], []
    for crops in pictures:
        features = model.network.extract(model.normalise(torch.from_numpy(crops)))
        queries.append(features.query.half())
        if features.memory is not None:
            memories.append(features.memory.half())
    return CachedFeatures(torch.stack(queries), torch.stack(memories) if memories else None)
