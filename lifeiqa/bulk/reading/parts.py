"""Read an item inside a worker process: its parts, each decoded and cut."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lifeiqa.bulk.items import Address, Data, File, Item, Member, Part, Video
from lifeiqa.errors import ImageError, WorkerError
from lifeiqa.preprocess.pipeline import CutImage


@dataclass(frozen=True)
class ReadItem:
    """The task of a worker process, see `lifeiqa.preprocess.process_worker.Task`.

    Attributes:
        cutting: how each image and frame is cut.
    """

    cutting: CutImage

    def __call__(self, item: Item, restart_clock: Callable[[], None], /) -> Iterator[Part]:
        """The parts of an item: one for an image, one for each sampled frame of a video."""
        if isinstance(item.origin, Video):
            return self._frames(item.origin, restart_clock)
        return self._image(_source(item))

    def _image(self, source: str | bytes) -> Iterator[Part]:
        before = _state(source)
        found = self.cutting.cut(source)
        digest = _digest(source)
        if _state(source) != before:  # the digest would be that of another image
            raise ImageError("the file changed while it was read")
        yield Part(found.crops, found.width, found.height, digest=digest, thumbnail=found.thumbnail)

    def _frames(self, video: Video, restart_clock: Callable[[], None]) -> Iterator[Part]:
        from lifeiqa.bulk.reading.video import frames

        # Frames that are skipped are decoded too, and each restarts the clock.
        found = frames(
            video.path,
            video.sampling,
            max_pixels=self.cutting.max_pixels,
            decoded=restart_clock,
        )
        for frame, pixels in found:
            one = self.cutting.cut(pixels)
            yield Part(one.crops, one.width, one.height, thumbnail=one.thumbnail, frame=frame)


def _source(item: Item) -> str | bytes:
    """A path as it was given, or the bytes of a file."""
    origin = item.origin
    if isinstance(origin, File):
        return origin.path
    if isinstance(origin, Member):
        with Path(origin.archive).open("rb") as archive:
            archive.seek(origin.offset)
            return archive.read(origin.size)
    if isinstance(origin, Data):
        return origin.data
    if isinstance(origin, Address):
        from lifeiqa.bulk.reading.http import fetch

        return fetch(origin.url)
    raise WorkerError(f"a {type(origin).__name__} is not an image")


def _state(source: str | bytes) -> tuple[int, ...] | None:
    """What changes when a file is replaced or written to; None for bytes."""
    if isinstance(source, bytes):
        return None
    found = Path(source).stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _digest(source: str | bytes) -> bytes:
    if isinstance(source, bytes):
        return hashlib.sha256(source).digest()
    with Path(source).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
