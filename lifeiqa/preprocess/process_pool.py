"""Processes that decode, fed in order and read in order, with a bound on what lies between.

Each process has a thread here that hands it one item at a time, so that when a process dies it is
known which image it was decoding. The thread starts another process, and the run goes on.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lifeiqa.errors import ConfigError, WorkerError
from lifeiqa.preprocess.process_worker import Failure, Task

if TYPE_CHECKING:
    from typing import Self

I = TypeVar("I")  # noqa: E741 - an item
R = TypeVar("R")

STALL = 90.0
"""Seconds without an answer after which a worker counts as hung: a disk or server is silent."""

_PAUSES = (0.2, 1.0, 5.0)
"""Seconds between attempts to start a worker in place of one that died."""
_RESULTS_AHEAD = 4  # of one item, for instance frames of one video
_MOST_BYTES = 128 << 20  # of results, and of items that are held, between source and reader


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """Processes that decode unless a number is given: one for each core, 0 outside of Linux."""
    return cores() if sys.platform == "linux" else 0


def require_usable(workers: int, seconds: float, *, least: int = 0) -> None:
    """Refuse a number of processes, or a limit of their time, that cannot work.

    Args:
        workers: processes that decode; 0 for none.
        seconds: of processor time that an image may take in one.
        least: smallest number of processes.

    Raises:
        ConfigError: with the value, or because this is not Linux.
    """
    if workers < least:
        raise ConfigError(f"workers is {workers}: at least {least} is expected")
    if not 0 < seconds < 86400:
        raise ConfigError(f"timeout is {seconds} s: more than 0 and less than a day is expected")
    if workers and sys.platform != "linux":
        raise ConfigError(
            f"this system is {sys.platform}, and decoding in separate processes, as `lifeiqa "
            f"score` does, needs Linux: use lifeiqa.Scorer, or lifeiqa.score_many with workers=0"
        )


class ProcessPool(Generic[I, R]):
    """Decodes items in worker processes. Use it as a context manager, or call `close`.

    Args:
        task: what is done with each item.
        workers: number of processes.
        seconds: processor time that each result may take.
        ahead: most items between the source and the reader.
        result_bytes: size of an item's result, to bound the memory for results that wait.
        here: answers an item in this process when it is drawn from the source, so that its
            memory may be used again; None for an item that is sent to a worker.
        weight: bytes that an item holds until it is read.

    Raises:
        ConfigError: see `require_usable`.
    """

    def __init__(
        self,
        task: Task[I, R],
        *,
        workers: int,
        seconds: float,
        ahead: int,
        result_bytes: int,
        here: Callable[[I], R | Failure | None] = lambda item: None,
        weight: Callable[[I], int] = lambda item: 0,
    ) -> None:
        require_usable(workers, seconds, least=1)
        self._task, self._seconds = task, seconds
        self._here, self._weight = here, weight
        self._window = max(2 * workers, min(ahead, _MOST_BYTES // result_bytes))
        self._jobs: queue.SimpleQueue[_Job[I, R] | None] = queue.SimpleQueue()
        self._alive: set[_Worker] = set()
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, name=f"decoder {number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def results(self, items: Iterable[I]) -> Iterator[tuple[I, Iterator[R | Failure]]]:
        """Every item with its results, in the order of the items.

        The results of one item are to be taken before the next item.

        Raises:
            WorkerError: no worker can be started at all.
            Exception: what the source of the items raises, once those before it were given.
        """
        waiting: deque[_Job[I, R]] = deque()
        held = 0
        source = iter(items)
        ended = False
        wrong: Exception | None = None
        while waiting or not ended:
            while not ended and len(waiting) < self._window and held < _MOST_BYTES:
                try:
                    item = next(source)
                except StopIteration:
                    ended = True
                    break
                except Exception as error:  # the items before it are still to be given
                    ended, wrong = True, error
                    break
                job: _Job[I, R] = _Job(item, self._weight(item))
                waiting.append(job)
                held += job.weight
                if (answer := self._here(item)) is not None:
                    job.answers.put(answer)
                    job.answers.put(None)
                else:
                    self._jobs.put(job)
            if waiting:
                job = waiting.popleft()
                yield job.item, job.results()
                held -= job.weight
        if wrong is not None:
            raise wrong

    def close(self) -> None:
        """End the processes, even while they decode."""
        self._closed.set()
        for _ in self._threads:
            self._jobs.put(None)
        for worker in list(self._alive):
            worker.kill()  # a thread that waits for it wakes up, and lets go of the rest
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _serve(self) -> None:
        worker: _Worker | None = None
        try:
            while (job := self._jobs.get()) is not None and not self._closed.is_set():
                try:
                    if worker is None or not worker.alive:
                        worker = self._started(worker)
                    for answer in worker.answers(job.item):
                        self._answer(job, answer)
                    self._answer(job, None)
                except BaseException as error:  # to be raised where the run can end
                    self._answer(job, error)
        finally:
            self._forget(worker)

    def _started(self, former: _Worker | None) -> _Worker:
        self._forget(former)
        # Where memory is short, the one that starts is the next to be killed: try again.
        pauses = [] if former is None else list(_PAUSES)
        while True:
            try:
                worker = _Worker(self._task, self._seconds)
                break
            except WorkerError:
                if not pauses or self._closed.wait(pauses.pop(0)):
                    raise
        self._alive.add(worker)
        if self._closed.is_set():  # while it started
            worker.kill()
        return worker

    def _forget(self, worker: _Worker | None) -> None:
        if worker is not None:
            self._alive.discard(worker)
            worker.close()

    def _answer(self, job: _Job[I, R], answer: R | Failure | BaseException | None) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                job.answers.put(answer, timeout=0.2)
                break


class _Job(Generic[I, R]):
    """One item and its answers; the last is None or an exception."""

    def __init__(self, item: I, weight: int) -> None:
        self.item = item
        self.weight = weight
        self.answers: queue.Queue[R | Failure | BaseException | None] = queue.Queue(_RESULTS_AHEAD)

    def results(self) -> Iterator[R | Failure]:
        while (answer := self.answers.get()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer


class _Worker:
    """The near end of a process that runs `lifeiqa.preprocess.process_worker`."""

    def __init__(self, task: Task[Any, Any], seconds: float) -> None:
        self._seconds = seconds
        self._connection, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(
                # -P: the folder that is being scored may hold a file called PIL.py.
                [
                    *(sys.executable, "-P", "-c"),
                    f"from lifeiqa.preprocess.process_worker import main; main({theirs.fileno()})",
                ],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                # Libraries in C print on both what they find wrong with an image.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            self._connection.send((task, seconds))
            if self._connection.recv() is not None:
                raise EOFError
        except (EOFError, OSError) as error:
            self.close()
            raise WorkerError(
                f"a process that decodes images ended at its start with exit status "
                f"{self._process.returncode}: {sys.executable} cannot import lifeiqa, or there is "
                f"not enough memory for it"
            ) from error

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def answers(self, item: object) -> Iterator[Any]:
        """What the process answers to an item; its death is a failure like any other."""
        try:
            self._connection.send(item)
            while self._connection.poll(STALL):
                if (answer := self._connection.recv()) is None:
                    return
                yield answer
        except (EOFError, OSError):
            yield self._death()
        else:
            self.kill()
            self._process.wait()
            yield Failure(WorkerError.__name__, f"the process that decodes it hung for {STALL:g} s")

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        self.kill()
        self._process.wait()
        self._connection.close()

    def _death(self) -> Failure:
        status = self._process.wait()
        cause = f"exit status {status}"
        if status == -signal.SIGPROF:
            return Failure(
                WorkerError.__name__,
                f"decoding it took more than {self._seconds:g} s of processor time",
            )
        if status < 0:
            cause = signal.Signals(-status).name
        if status == -signal.SIGKILL:
            cause += ", out of memory?"
        return Failure(WorkerError.__name__, f"the process that decoded it died ({cause})")
