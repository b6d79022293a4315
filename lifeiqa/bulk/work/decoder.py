"""A process that decodes and cuts images, one item at a time, for `lifeiqa.bulk.work.pool`.

It is a process of its own because a decoder that crashes, never ends or takes all memory must cost
one image and not the run. It takes a `Task`, then items, and answers each with parts or a
failure, then None.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import resource
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from lifeiqa.bulk.items import Address, Data, Failure, File, Item, Member, Part, Video
from lifeiqa.config import Preprocessing
from lifeiqa.errors import ImageError, LifeIQAError, WorkerError
from lifeiqa.preprocess.decode import ImageSource
from lifeiqa.preprocess.pipeline import Cut, cut

_FIRST_TO_GO = "800"
_MEMORY = 1250 << 20
"""Bytes that decoding may take: 100 megapixels need 717 MB at most as a progressive JPEG of usual
subsampling, and a WebP of 34 bytes asks for 2.6 GB."""
_BYTES = re.compile(r"^<\d+ bytes>: ")  # what an image without a path is called


@dataclass(frozen=True)
class Task:
    """What a worker does with every item.

    Attributes:
        preprocessing: working scale, kernel and crop plan.
        size: side S of a crop in pixels.
        max_pixels: the largest image that is decoded.
        thumbnails: whether each part carries one.
        seconds: of processor time that an image or frame may take; the process dies beyond.
    """

    preprocessing: Preprocessing
    size: int
    max_pixels: int
    thumbnails: bool
    seconds: float


def main(descriptor: int) -> None:
    """Serve until the other end of the socket is closed; that also ends an orphan."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    # Where memory runs out, the kernel should take the process that decodes the image that
    # needs it, not the one that holds the run.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    with contextlib.suppress(OSError):
        _limit_memory()
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        task = connection.recv()
        connection.send(None)  # everything is imported: from here on a death is an image's doing
        while True:
            item = connection.recv()
            for part in parts_of(item, task):
                connection.send(part)
            connection.send(None)


def _limit_memory() -> None:
    """Let this process take `_MEMORY` beyond what it has; a closer limit of the user's stays."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _MEMORY
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY or most < soft:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def parts_of(item: Item, task: Task) -> Iterator[Part | Failure]:
    """The parts of an item; a failure, if any, comes last."""
    try:
        parts = _frames(item.origin, task) if isinstance(item.origin, Video) else _one(item, task)
        while True:
            _allow(task.seconds)
            part = next(parts, None)
            _allow(0)
            if part is None:
                return
            yield part
    except (LifeIQAError, MemoryError) as error:
        if isinstance(error.__cause__ or error, MemoryError):
            error = WorkerError(f"it takes more than {_MEMORY >> 20} MiB to decode")
        yield Failure(type(error).__name__, _without_name(str(error), item))
    except OSError as error:
        yield Failure(ImageError.__name__, error.strerror or str(error))
    except Exception as error:
        yield Failure(WorkerError.__name__, f"unexpected {type(error).__name__}: {error}")
    finally:
        _allow(0)


def _allow(seconds: float) -> None:
    """Let so much processor time pass from now on, 0 for any.

    Then a signal comes, whose default action ends the process even inside a decoder's loop.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _one(item: Item, task: Task) -> Iterator[Part]:
    source = _source(item)
    before = _state(source)
    found = _cut(source, task)
    digest = _digest(source)
    if _state(source) != before:  # the digest would be that of another image
        raise ImageError("it was changed while it was read")
    yield Part(found.crops, found.width, found.height, digest=digest, thumbnail=found.thumbnail)


def _frames(video: Video, task: Task) -> Iterator[Part]:
    from lifeiqa.bulk.inputs.video import frames

    # A frame that is passed over takes time as well, and so does the way to the next one.
    found = frames(
        video.path,
        video.sampling,
        max_pixels=task.max_pixels,
        decoded=functools.partial(_allow, task.seconds),
    )
    for frame, pixels in found:
        one = _cut(pixels, task)
        yield Part(one.crops, one.width, one.height, thumbnail=one.thumbnail, frame=frame)


def _cut(source: ImageSource, task: Task) -> Cut:
    return cut(
        source,
        task.preprocessing,
        task.size,
        max_pixels=task.max_pixels,
        thumbnail=task.thumbnails,
    )


def _without_name(message: str, item: Item) -> str:
    """The message of an error; the row names the image already."""
    origin = item.origin
    names = [item.name]
    if isinstance(origin, File | Video):
        names.append(origin.path)
    for name in names:
        message = message.removeprefix(f"{name}: ")
    return _BYTES.sub("", message)


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
        from lifeiqa.bulk.inputs.http import fetch

        return fetch(origin.url)
    raise WorkerError(f"a {type(origin).__name__} is no image")


def _state(source: str | bytes) -> tuple[int, ...] | None:
    """What tells a file from the one that was there before; None for bytes."""
    if isinstance(source, bytes):
        return None
    found = Path(source).stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _digest(source: str | bytes) -> bytes:
    if isinstance(source, bytes):
        return hashlib.sha256(source).digest()
    with Path(source).open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
