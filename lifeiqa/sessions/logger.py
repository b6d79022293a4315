"""What TensorRT says while it works, kept so that an error can say it too.

TensorRT reports a failure by returning None or False; the cause goes to a logger.
"""

from __future__ import annotations

from typing import Any, Protocol


class Logger(Protocol):
    """A logger of one of the two modules that keeps errors."""

    def take(self) -> str:
        """The errors since the last call, one line each, or words that there were none."""
        ...


def collecting_logger(trt: Any) -> Logger:
    """A logger for TensorRT's objects that prints nothing.

    Args:
        trt: the module ``tensorrt`` or ``tensorrt_rtx``; each accepts loggers of its own class.
    """

    class Collecting(trt.ILogger):  # type: ignore[misc]  # a class that is known at run time alone
        def __init__(self) -> None:
            super().__init__()
            self.lines: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self.lines.append(message)

        def take(self) -> str:
            # The absence of a driver is repeated after every error of a build that needs none.
            lines = [line for line in self.lines if "catchCudaError" not in line]
            self.lines = []
            return "; ".join(dict.fromkeys(lines)) or "TensorRT gave no reason"

    logger: Logger = Collecting()
    return logger
