"""The far end of `lifeiqa.preprocess.process_pool`: a process that decodes one image at a time.

It is a separate process so that a decoder that crashes, hangs or exhausts memory costs one image
and not the run. It receives a task and a time limit, then items. It answers each item with its
results, or with a `Failure` after those that were made before, then with None.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lifeiqa import errors
from lifeiqa.errors import ImageError, LifeIQAError, WorkerError

I_contra = TypeVar("I_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

_OOM_SCORE = "800"
_MEMORY = 1250 << 20
"""Bytes that decoding may take: 100 megapixels need 717 MB at most as a progressive JPEG of usual
subsampling, and a WebP of 34 bytes asks for 2.6 GB."""


@dataclass(frozen=True)
class Failure:
    """Why an image has no score.

    Attributes:
        kind: name of the error's class, for instance ``ImageError``.
        message: what is wrong.
    """

    kind: str
    message: str

    @classmethod
    def of(cls, error: LifeIQAError) -> Failure:
        """The failure that says what an error says."""
        return cls(type(error).__name__, str(error))

    def error(self, name: str) -> LifeIQAError:
        """The failure as an exception whose message begins with the name of the image."""
        message = self.message
        if not message.startswith(f"{name}: "):
            message = f"{name}: {message}"
        kind: type[LifeIQAError] = getattr(errors, self.kind)
        return kind(message)


class Task(Protocol[I_contra, R_co]):
    """What a process does with each item. It is pickled once for every process."""

    def __call__(self, item: I_contra, restart_clock: Callable[[], None], /) -> Iterator[R_co]:
        """Yield the results of an item, for instance the frames of a video.

        Args:
            item: what is decoded.
            restart_clock: gives the result in progress its full time again; for a task that has
                finished something on the way to it.

        Raises:
            LifeIQAError: the item cannot be decoded.
        """
        ...


def main(descriptor: int) -> None:
    """Serve until the other end of the socket is closed, which also ends an orphan."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    # Where memory runs out, the kernel should end the process that decodes the image that needs
    # it, not the one that holds the run.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    with contextlib.suppress(OSError):
        _limit_memory()
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        task, seconds = connection.recv()
        connection.send(None)  # everything is imported: a death from here on is an image's fault
        while True:
            item = connection.recv()
            for answer in answers(task, item, seconds):
                connection.send(answer)
            connection.send(None)


def answers(task: Task[Any, R], item: object, seconds: float) -> Iterator[R | Failure]:
    """The results of an item; a failure, if any, comes last.

    Args:
        task: what is done.
        item: what it is done with.
        seconds: processor time that each result may take; the process dies beyond it.
    """

    def restart_clock() -> None:
        _allow(seconds)

    try:
        results = task(item, restart_clock)
        while True:
            restart_clock()
            result = next(results, None)
            _allow(0)
            if result is None:
                return
            yield result
    except (LifeIQAError, MemoryError) as error:
        if isinstance(error, LifeIQAError) and not isinstance(error.__cause__, MemoryError):
            yield Failure.of(error)
        else:
            message = f"decoding it takes more than {_MEMORY >> 20} MiB of memory"
            yield Failure(WorkerError.__name__, message)
    except OSError as error:
        yield Failure(ImageError.__name__, error.strerror or str(error))
    except Exception as error:
        yield Failure(WorkerError.__name__, f"unexpected {type(error).__name__}: {error}")
    finally:
        _allow(0)


def _limit_memory() -> None:
    """Let this process take `_MEMORY` beyond what it has; a lower limit of the user's stays."""
    import resource  # not on every system, and this module can be imported on all

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _MEMORY
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY or most < soft:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _allow(seconds: float) -> None:
    """Let this much processor time pass from now on, 0 for any.

    Then a signal arrives whose default action ends the process, even inside a decoder's loop.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)
