"""The cached features of a frozen backbone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from lifeiqa.errors import DatasetError
from lifeiqa.files import atomic_write
from lifeiqa.model.network import Features, ScoringModel
from lifeiqa.training.crops import Feed

_CROPS = 8
"""Crops of a pass: enough to keep a CPU busy, and few enough for its caches."""


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


def joined(parts: list[Features]) -> Features:
    """The crops of several batches as one."""
    memories = [part.memory for part in parts if part.memory is not None]
    query = torch.cat([part.query for part in parts])
    return Features(query, torch.cat(memories) if memories else None)


class Cache:
    """Features of one backbone, kept in a folder when there is one, so that runs can share them.

    A file is named by a digest of all that its features depend on: the weights of the backbone,
    its stages and the grid, how pictures are cut, and the name, size and time of each picture.

    Args:
        scoring: holds the network; its backbone is not to change afterwards.
        folder: None computes anew.
    """

    def __init__(self, scoring: ScoringModel, folder: Path | None = None) -> None:
        self.scoring, self.folder = scoring.eval(), folder

    def get(
        self, feed: Feed, crops: Callable[[range], Iterator[Tensor]], plan: str
    ) -> CachedFeatures:
        """Features of the crops that ``crops`` gives for a range of rows; ``plan`` names them."""
        rows = range(len(feed.table))

        def compute() -> CachedFeatures:
            # disable=None: a bar on a terminal alone.
            bar = tqdm(crops(rows), "features", len(rows), leave=False, disable=None)
            return extract(self.scoring, bar)

        if self.folder is None:
            return compute()
        path = self.folder / f"{self._digest(feed, plan)}.safetensors"
        if not path.is_file():
            features = compute()
            tensors = {k: v for k, v in features._asdict().items() if v is not None}
            with atomic_write(path) as temporary:
                save_file(tensors, temporary)
        try:
            stored = load_file(path)
        except SafetensorError as error:
            raise DatasetError(
                f"{path}: cached features are damaged: {error}. Delete it"
            ) from error
        return CachedFeatures(stored["query"], stored.get("memory"))

    def _digest(self, feed: Feed, plan: str) -> str:
        config = self.scoring.network.config
        digest = hashlib.sha256()
        for name, tensor in self.scoring.network.backbone.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
        stages = [config.backbone_name, config.query_stage, config.memory_stage, config.memory_grid]
        files = [
            (path.name, (s := path.stat()).st_size, s.st_mtime_ns) for path in feed.table.paths
        ]
        fed = dataclasses.asdict(feed.preprocessing)
        digest.update(json.dumps([stages, feed.size, fed, plan, files]).encode())
        return digest.hexdigest()[:32]


@torch.inference_mode()
def extract(scoring: ScoringModel, pictures: Iterable[Tensor]) -> CachedFeatures:
    """Run the backbone once over the crops of every picture, ``(crops, S, S, 3)`` each."""
    device = scoring.input_scale.device
    queries: list[Tensor] = []
    memories: list[Tensor] = []
    waiting: list[Tensor] = []
    crops = 0

    def flush() -> None:
        features = scoring.network.extract(scoring.normalise(torch.cat(waiting).to(device)))
        queries.append(features.query.half().cpu())
        if features.memory is not None:
            memories.append(features.memory.half().cpu())
        waiting.clear()

    for picture in pictures:
        crops = len(picture)
        waiting.append(picture)
        if len(waiting) * crops >= _CROPS:
            flush()
    if waiting:
        flush()
    query = torch.cat(queries)  # (n * crops, C_q)
    query = query.view(-1, crops, *query.shape[1:])  # (n, crops, C_q)
    if not memories:
        return CachedFeatures(query, None)
    memory = torch.cat(memories)  # (n * crops, M, C_m)
    return CachedFeatures(query, memory.view(-1, crops, *memory.shape[1:]))
