"""TensorRT's own error messages, kept so that our errors can quote them.

TensorRT reports a failure by returning None or False; the cause goes to a logger.
"""

from __future__ import annotations

import contextlib
import functools
import gc
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any


class ErrorLog:
    """TensorRT's errors from now on, and how to make objects that write to it.

    There is one logger for each module in a process, and every log reads it. A second logger would
    be dangerous: TensorRT warns of it while it holds the lock that it needs to delete builders and
    runtimes. If Python's garbage collector ran inside that warning and found an old builder, the
    process would deadlock.

    Args:
        trt: the module of a TensorRT library; each accepts loggers of its own class.
    """

    def __init__(self, trt: Any) -> None:
        self._logger = _logger_of(trt)
        self._seen: int = self._logger.count

    def make(self, factory: Callable[..., Any], *arguments: Any) -> Any:
        """A builder, runtime, parser or refitter that logs its errors here."""
        with _no_garbage_collection():  # the embedding program may have a logger of its own
            return factory(*arguments, self._logger)

    def take(self) -> str:
        """The errors since the last call, or a sentence that there were none.

        They include those of objects that worked at the same time in other threads.
        """
        since, self._seen = self._seen, self._logger.count
        lines = [line for number, line in self._logger.lines.copy() if number >= since]
        # The absence of a driver is repeated after every error of a build that needs none.
        lines = [line for line in lines if "catchCudaError" not in line]
        return "; ".join(dict.fromkeys(lines)) or "TensorRT gave no reason"


@functools.cache
def _logger_of(trt: Any) -> Any:
    errors = (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR)

    class Collecting(trt.ILogger):  # type: ignore[misc]  # known at run time only
        def __init__(self) -> None:
            super().__init__()
            self.count = 0
            self.lines: deque[tuple[int, str]] = deque(maxlen=100)

        def log(self, severity: Any, message: str) -> None:
            if severity in errors:
                self.lines.append((self.count, message))
                self.count += 1

    return Collecting()


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
