"""The cached features of a frozen backbone."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from tqdm import tqdm

from lifeiqa.errors import DatasetError
from lifeiqa.model.network import Features, ScoringModel
from lifeiqa.training.sampling import Feed

_CROPS = 8
"""Crops of a pass: enough to keep a CPU busy, and few enough for its caches."""
_CROPS_ON_GPU = 128
_IMAGES = 64
"""Images that are stored at once: what a kill loses, against the wait for a disk."""
_TABLE = """CREATE TABLE IF NOT EXISTS features (
    image BLOB PRIMARY KEY, tensors BLOB NOT NULL, crc INTEGER NOT NULL
)"""


class CachedFeatures(NamedTuple):
    """What a frozen backbone gives for several crops of every image, in half precision.

    Attributes:
        query: ``(n, crops, C_q)``.
        memory: ``(n, crops, M, C_m)``, or None without an attended stage.
    """

    query: Tensor
    memory: Tensor | None

    def pick(self, images: Tensor, crops: Tensor) -> Features:
        """Float features of one crop each of some images, ``(B,)`` indices both."""
        memory = None if self.memory is None else self.memory[images, crops].float()
        return Features(self.query[images, crops].float(), memory)

    def crops(self, chosen: slice) -> CachedFeatures:
        """Some crops of every image."""
        memory = None if self.memory is None else self.memory[:, chosen]
        return CachedFeatures(self.query[:, chosen], memory)


def joined(parts: Sequence[Features]) -> Features:
    """The crops of several batches or images as one, in single precision."""
    memories = [part.memory for part in parts if part.memory is not None]
    query = torch.cat([part.query for part in parts]).float()
    return Features(query, torch.cat(memories).float() if memories else None)


class Cache:
    """Features of one backbone, kept in a folder when there is one, so that runs can share them.

    A file is an SQLite database, named by a digest of what all its features depend on: the weights
    of the backbone, its stages and the grid, and how images are cut. Each row belongs to one
    image, so that tables share the images they have in common, and an extraction that was
    killed goes on where it was. Several processes can use a folder at the same time.

    Args:
        scoring: holds the network; its backbone is not to change afterwards.
        folder: None computes anew.
    """

    def __init__(self, scoring: ScoringModel, folder: Path | None = None) -> None:
        self.scoring, self.folder = scoring.eval(), folder

    def get(
        self, feed: Feed, crops: Callable[[Sequence[int]], Iterator[Tensor]], plan: str
    ) -> CachedFeatures:
        """Features of every image of the table, in its order.

        Args:
            feed: the images, and how they are cut.
            crops: gives the crops of some rows, as many of each; those of an image must depend on
                it alone.
            plan: names them.

        Raises:
            DatasetError: what is stored is damaged, or the file cannot be read or written.
        """
        whole: dict[str, Tensor] = {}
        with self._filled(feed, crops, plan) as images:
            for row, own in enumerate(images):
                for name, tensor in own.items():
                    if name not in whole:
                        whole[name] = tensor.new_empty((len(feed.table), *tensor.shape))
                    whole[name][row] = tensor
        return CachedFeatures(whole["query"], whole.get("memory"))

    def each(
        self, feed: Feed, crops: Callable[[Sequence[int]], Iterator[Tensor]], plan: str
    ) -> list[Features]:
        """As `get`, image by image: a plan may give one image more crops than another.

        Returns:
            For each image ``(crops, C_q)`` and ``(crops, M, C_m)``, in half precision.
        """
        with self._filled(feed, crops, plan) as images:
            return [Features(own["query"], own.get("memory")) for own in images]

    @contextlib.contextmanager
    def _filled(
        self, feed: Feed, crops: Callable[[Sequence[int]], Iterator[Tensor]], plan: str
    ) -> Iterator[Iterator[dict[str, Tensor]]]:
        """The stored tensors of every image; those that are missing are extracted first."""
        images = [_identity(path) for path in feed.table.paths]
        with _opened(self._path(feed, plan)) as base:
            stored = {image for (image,) in base.execute("SELECT image FROM features")}
            # An image that is listed twice is extracted once.
            missing = {p: row for row, p in enumerate(images) if p not in stored}
            if missing:
                self._add(base, list(missing), crops(list(missing.values())))
            yield _read(base, images)

    def _add(
        self, base: sqlite3.Connection, images: Sequence[bytes], crops: Iterator[Tensor]
    ) -> None:
        """Extract and store, in whole passes: those that follow a kill are those it prevented."""
        # disable=None: a bar on a terminal alone.
        bar = tqdm(crops, "features", len(images), leave=False, disable=None)
        names, waiting = iter(images), list[tuple[bytes, bytes]]()

        def store() -> None:
            rows = [(image, tensors, _crc(image, tensors)) for image, tensors in waiting]
            with base:  # one transaction
                # What another process has stored meanwhile stays, as it may have been read.
                base.executemany("INSERT OR IGNORE INTO features VALUES (?, ?, ?)", rows)
            waiting.clear()

        for features in extract(self.scoring, bar):
            waiting += [(next(names), tensors) for tensors in _bytes_of(features)]
            if len(waiting) >= _IMAGES:
                store()
        store()

    def _path(self, feed: Feed, plan: str) -> Path | None:
        if self.folder is None:
            return None
        config = self.scoring.network.config
        digest = hashlib.sha256()
        for name, tensor in self.scoring.network.backbone.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
        stages = [config.backbone_name, config.query_stage, config.memory_stage, config.memory_grid]
        fed = dataclasses.asdict(feed.preprocessing)
        digest.update(json.dumps([stages, feed.size, fed, plan]).encode())
        return self.folder / f"{digest.hexdigest()[:32]}.sqlite"


@torch.inference_mode()
def extract(scoring: ScoringModel, images: Iterable[Tensor]) -> Iterator[CachedFeatures]:
    """Run the backbone over the crops of every image, ``(crops, S, S, 3)`` each, pass by pass.

    The images of a pass have as many crops each.
    """
    device = scoring.input_scale.device
    waiting: list[Tensor] = []

    def features_of_waiting() -> CachedFeatures:
        count, crops = len(waiting), torch.cat(waiting).to(device)  # (n * crops, S, S, 3)
        waiting.clear()
        query, memory = scoring.network.extract(scoring.normalise(crops))
        query = query.half().cpu().view(count, -1, *query.shape[1:])  # (n, crops, C_q)
        if memory is not None:
            memory = memory.half().cpu().view(count, -1, *memory.shape[1:])  # (n, crops, M, C_m)
        return CachedFeatures(query, memory)

    for image in images:
        if waiting and len(image) != len(waiting[0]):
            yield features_of_waiting()
        waiting.append(image)
        if len(waiting) * len(image) >= (_CROPS if device.type == "cpu" else _CROPS_ON_GPU):
            yield features_of_waiting()
    if waiting:
        yield features_of_waiting()


@contextlib.contextmanager
def _opened(path: Path | None) -> Iterator[sqlite3.Connection]:
    """The database of a file, or one in memory; whatever is wrong with it is a `DatasetError`.

    Its journal is SQLite's default. Whoever opens the file after a kill rolls the last transaction
    back, on network drives too, where a write-ahead log cannot be shared.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # A transaction takes a second at most: who waits for a minute waits for something else.
        with contextlib.closing(sqlite3.connect(path or ":memory:", timeout=60)) as base:
            base.execute(_TABLE)
            yield base
    except sqlite3.OperationalError as error:  # full, locked, not ours to write
        raise DatasetError(
            f"{path}: cached features cannot be read or written: {error}. Take another folder"
        ) from error
    except (sqlite3.DatabaseError, SafetensorError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cached features are damaged: {error}. Delete it") from error


def _identity(path: Path) -> bytes:
    """What identifies an image without reading it; LIVE has an ``img1.bmp`` in every folder."""
    stat = path.stat()
    known = [path.absolute().parent.name, path.name, stat.st_size, stat.st_mtime_ns]
    return hashlib.sha256(json.dumps(known).encode()).digest()


def _bytes_of(features: CachedFeatures) -> Iterator[bytes]:
    """The tensors of each image as a safetensors file."""
    tensors = {name: t for name, t in features._asdict().items() if t is not None}
    for row in range(len(features.query)):
        yield save({name: tensor[row].contiguous() for name, tensor in tensors.items()})


def _crc(image: bytes, tensors: bytes) -> int:
    # SQLite notices a torn structure, not what changes within a row.
    return zlib.crc32(tensors, zlib.crc32(image))


def _read(base: sqlite3.Connection, images: Sequence[bytes]) -> Iterator[dict[str, Tensor]]:
    """The features of images that are all stored, in their order."""
    for image in images:
        # One at a time: who writes has to wait for nobody who reads for long.
        found = base.execute("SELECT tensors, crc FROM features WHERE image = ?", (image,))
        tensors, crc = found.fetchone() or (b"", None)
        if _crc(image, tensors) != crc:
            raise sqlite3.DatabaseError("the checksum of an image is wrong")
        yield load(tensors)
