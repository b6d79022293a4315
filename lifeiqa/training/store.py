"""Crops that were cut once and are read many times: a memory-mapped file that runs share.

Decoding, distorting and resizing an image takes longer than a GPU takes to learn from it. So
processes do it once, side by side, and write the crops to one file, from which an epoch reads at
the speed of memory. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lifeiqa.errors import DatasetError
from lifeiqa.files import atomic_write
from lifeiqa.preprocess.decode import Pixels

_CHUNK = 8
"""Images that a process makes at once."""
_NOTED = 8
"""Chunks between two writes of the index: what a kill loses."""

Rows = npt.NDArray[np.int64]
Report = Callable[[int, int], None]
"""Takes the number of images that are there and the number of all."""


class CropStore:
    """Crops of images in ``folder``, as many of each, all of one size.

    The file's name is a digest of ``key``, all that the crops depend on apart from the images. Its
    index names the images whose crops are whole, so that a killed `fill` goes on where it was. A
    folder serves several processes; one of them fills it at a time.

    Args:
        folder: made when it is missing.
        key: plain values.
        count: crops of an image.
        size: side S of a crop in pixels.
    """

    def __init__(self, folder: Path, key: Any, count: int, size: int) -> None:
        digest = hashlib.sha256(json.dumps([key, count, size]).encode()).hexdigest()[:32]
        self.path, self.index = folder / f"{digest}.crops", folder / f"{digest}.json"
        self.shape = (count, size, size, 3)
        folder.mkdir(parents=True, exist_ok=True)

    def fill(
        self,
        paths: Sequence[Path],
        make: Callable[[Path], Pixels],
        *,
        workers: int = 0,
        names: Sequence[str] | None = None,
        report: Report = lambda done, total: None,
    ) -> Rows:
        """Make the crops that are missing, and say where those of every image lie.

        Args:
            paths: image files, or whatever else ``make`` takes.
            make: the crops of an image, uint8 ``(count, S, S, 3)``; it goes to other processes.
            workers: processes; 0 makes them in this one.
            names: what tells images apart; their identities by default.
            report: told of progress.

        Returns:
            ``(images,)`` row of `crops` of each image.

        Raises:
            DatasetError: the disk is full, or cannot be written to.
            ImageError: an image cannot be read.
        """
        names = [identity(path) for path in paths] if names is None else names
        try:
            with self._locked():
                kept = self._kept()
                missing = {n: p for n, p in zip(names, paths, strict=True) if n not in kept}
                if missing:
                    first, new = len(kept), list(missing)
                    self._grow(first + len(new))
                    places = list(enumerate(missing.values(), first))
                    for done in self._made(places, make, workers):
                        kept |= {name: first + row for row, name in enumerate(new[:done])}
                        self._note(kept)
                        report(len(kept), first + len(new))
        except OSError as error:
            raise DatasetError(
                f"{self.path}: crops cannot be stored: {error}. Take another folder"
            ) from error
        return np.asarray([kept[name] for name in names], dtype=np.int64)

    def crops(self) -> Pixels:
        """All that is stored, ``(rows, count, S, S, 3)``, mapped from the file, not read."""
        rows = len(self._kept())
        # Copy on write: torch takes no array that nobody may write to.
        return np.memmap(self.path, np.uint8, "c", shape=(rows, *self.shape))

    def _made(
        self, places: list[tuple[int, Path]], make: Callable[[Path], Pixels], workers: int
    ) -> Iterator[int]:
        """Write the crops of all; yields now and then how many of the first are written."""
        chunks = [places[i : i + _CHUNK] for i in range(0, len(places), _CHUNK)]
        jobs = [(self.path, self.shape, chunk, make) for chunk in chunks]
        with contextlib.ExitStack() as stack:
            written: Iterator[None] = map(_write, jobs)
            if workers:
                context = multiprocessing.get_context("forkserver")
                pool = stack.enter_context(
                    ProcessPoolExecutor(workers, context, initializer=follow_parent)
                )
                stack.callback(pool.shutdown, wait=False, cancel_futures=True)
                written = pool.map(_write, jobs)
            for number, _ in enumerate(written, 1):
                if number % _NOTED == 0 or number == len(chunks):
                    yield min(number * _CHUNK, len(places))

    def _kept(self) -> dict[str, int]:
        if not self.index.is_file():
            return {}
        try:
            kept: dict[str, int] = json.loads(self.index.read_text("utf-8"))
        except ValueError as error:
            raise DatasetError(
                f"{self.index}: the index of stored crops is damaged: {error}. "
                f"Delete it and {self.path.name}"
            ) from error
        size = self.path.stat().st_size if self.path.is_file() else 0
        if size < len(kept) * int(np.prod(self.shape)):
            raise DatasetError(
                f"{self.path}: stored crops are cut off. Delete it and {self.index.name}"
            )
        return kept

    def _note(self, kept: dict[str, int]) -> None:
        with atomic_write(self.index) as temporary:
            temporary.write_text(json.dumps(kept), "utf-8")

    def _grow(self, rows: int) -> None:
        with self.path.open("ab") as stream:
            stream.truncate(rows * int(np.prod(self.shape)))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone in this folder; the system lets go of the lock of a process that was killed."""
        with self.path.with_suffix(".lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield


def identity(path: Path) -> str:
    """What identifies an image without reading it; LIVE has an ``img1.bmp`` in every folder."""
    stat = path.stat()
    known = [path.absolute().parent.name, path.name, stat.st_size, stat.st_mtime_ns]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()


def _write(
    job: tuple[Path, tuple[int, ...], list[tuple[int, Path]], Callable[[Path], Pixels]],
) -> None:
    path, shape, places, make = job
    length = int(np.prod(shape))
    with path.open("r+b") as stream:
        for row, image in places:
            crops = make(image)
            if crops.shape != shape:
                raise DatasetError(f"{image}: its crops are {crops.shape}, not {shape}")
            stream.seek(row * length)
            stream.write(np.ascontiguousarray(crops).data)


def follow_parent() -> None:
    """Have this process end when the one that started it has ended, however it did."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
