"""Processes that decode, fed in order and read in order, with a bound on what lies between.

Each process has a thread here that hands it one item at a time, so that when a process dies it is
known which image it was at. The thread starts another process, and the run goes on.
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
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from lifeiqa.bulk.items import Data, Failure, Item, Part
from lifeiqa.bulk.work.decoder import Task
from lifeiqa.errors import LifeIQAError, WorkerError
from lifeiqa.runtimes.base import Closeable

STALL = 90.0
"""Seconds without a word after which a worker counts as hung: a disk or a server that is silent."""

_PAUSES = (0.2, 1.0, 5.0)
"""Seconds between attempts to start a worker in place of one that died."""
_AHEAD = 4  # parts of one video that wait to be scored
_MOST_BYTES = 128 << 20  # of crops, and of images that came as bytes, between source and session

_Answer: TypeAlias = Part | Failure | BaseException | None


class Pool(Closeable):
    """Decodes items in worker processes.

    Args:
        task: what is done with each item.
        workers: number of processes.
        crop_count: crops of one image, from which the bound on memory follows.
    """

    def __init__(self, task: Task, workers: int, crop_count: int) -> None:
        self._task = task
        self._workers = workers
        image = crop_count * task.size**2 * 3
        self._window = max(2 * workers, min(64 * workers, _MOST_BYTES // image))
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._alive: set[_Worker] = set()
        self._closed = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, name=f"decoder {number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def decoded(self, items: Iterable[Item]) -> Iterator[tuple[Item, Iterator[Part | Failure]]]:
        """Every item with its parts, in the order of the items.

        The parts of one item are to be taken before the next item.

        Raises:
            WorkerError: no worker can be started at all.
            LifeIQAError: what the source of the items raises, once those before it were given.
        """
        waiting: deque[_Job] = deque()
        held = 0
        source = iter(items)
        ended = False
        wrong: LifeIQAError | None = None
        while waiting or not ended:
            while not ended and len(waiting) < self._window and held < _MOST_BYTES:
                try:
                    item = next(source, None)
                except LifeIQAError as error:  # what was named before it is still to be scored
                    item, wrong = None, error
                if item is None:
                    ended = True
                    break
                job = _Job(item)
                waiting.append(job)
                held += job.weight
                if isinstance(item.origin, Failure):
                    job.answers.put(item.origin)
                    job.answers.put(None)
                else:
                    self._jobs.put(job)
            if waiting:
                job = waiting.popleft()
                yield job.item, job.parts()
                held -= job.weight
        if wrong is not None:
            raise wrong

    def close(self) -> None:
        """End the processes, also amid an image."""
        self._closed.set()
        for _ in self._threads:
            self._jobs.put(None)
        for worker in list(self._alive):
            worker.kill()  # a thread that waits for it wakes up, and lets go of the rest
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        worker: _Worker | None = None
        try:
            while (job := self._jobs.get()) is not None and not self._closed.is_set():
                try:
                    if worker is None or not worker.alive:
                        worker = self._started(worker)
                    for part in worker.parts(job.item):
                        self._answer(job, part)
                    self._answer(job, None)
                except BaseException as error:  # to be raised where the run can end
                    self._answer(job, error)
        finally:
            self._forget(worker)

    def _started(self, former: _Worker | None) -> _Worker:
        self._forget(former)
        # Where memory is short, one that starts is the next to be killed: give it another try.
        pauses = [] if former is None else list(_PAUSES)
        while True:
            try:
                worker = _Worker(self._task)
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

    def _answer(self, job: _Job, answer: _Answer) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                job.answers.put(answer, timeout=0.2)
                break


class _Job:
    """One item and what came of it."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.weight = len(item.origin.data) if isinstance(item.origin, Data) else 0
        self.answers: queue.Queue[_Answer] = queue.Queue(_AHEAD)

    def parts(self) -> Iterator[Part | Failure]:
        while (answer := self.answers.get()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield answer


class _Worker:
    """The near end of a process that runs `lifeiqa.bulk.work.decoder`."""

    def __init__(self, task: Task) -> None:
        self._seconds = task.seconds
        self._connection, theirs = multiprocessing.Pipe()
        with theirs:
            self._process = subprocess.Popen(
                # -P: the folder that is being scored may hold a file called PIL.py.
                [
                    *(sys.executable, "-P", "-c"),
                    f"from lifeiqa.bulk.work.decoder import main; main({theirs.fileno()})",
                ],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                # Libraries in C print on both what they find wrong with an image.
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        try:
            self._connection.send(task)
            if self._connection.recv() is not None:
                raise EOFError
        except (EOFError, OSError) as error:
            self.close()
            raise WorkerError(
                f"a process that decodes images ended at its start with exit status "
                f"{self._process.returncode}: {sys.executable} cannot import lifeiqa, or there is "
                f"no memory for it"
            ) from error

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def parts(self, item: Item) -> Iterator[Part | Failure]:
        """What the process makes of an item; its death is a failure like another."""
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
            yield Failure(WorkerError.__name__, f"nothing came of it for {STALL:g} s")

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
                WorkerError.__name__, f"it took more than {self._seconds:g} s of processor time"
            )
        if status < 0:
            cause = signal.Signals(-status).name
        if status == -signal.SIGKILL:
            cause += ", perhaps for want of memory"
        return Failure(WorkerError.__name__, f"the process that decoded it died ({cause})")
