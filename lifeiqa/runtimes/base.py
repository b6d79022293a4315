"""A session runs one model file in one runtime: crops in, scores out."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.errors import ConfigError
from lifeiqa.preprocess.decode import Pixels

if TYPE_CHECKING:
    from typing import Self

INPUT, OUTPUT = "crops", "score"
"""Names of the one input and the one output of every exported graph and engine."""
ROUTER_INPUTS, ROUTER_LOGITS = "router_inputs", "router_logits"
"""Names of values inside an exported graph."""
ROUTER_WEIGHT = "router.weight"
"""The initialiser of the router ends with this."""

Scores: TypeAlias = npt.NDArray[np.float32]
Array: TypeAlias = npt.NDArray[Any]


class Session(Protocol):
    """One loaded model. Use it as a context manager, or call `close`."""

    manifest: Manifest
    runtime: str
    """Runtime, version and device in words, for reports."""

    def run(self, crops: Pixels) -> Scores:
        """Score crops.

        Args:
            crops: uint8 ``(N, S, S, 3)`` RGB, N at least 1.

        Returns:
            float32 ``(N,)`` in label units, in memory that the caller owns.

        Raises:
            ConfigError: the crops have another type or shape.
        """
        ...

    def close(self) -> None:
        """Release the runtime's memory; the session cannot run afterwards."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class Closeable:
    """A context manager that closes itself."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Trace:
    """What the router of a session saw, to find the tokens that changed expert.

    Attributes:
        inputs: float32 ``(n, N, D)`` router input.
        logits: float32 ``(n, N, E)``.
        weight: float32 ``(D, E)`` the router's weight.
    """

    inputs: Array
    logits: Array
    weight: Array


@runtime_checkable
class Traceable(Protocol):
    """A session that can show its router; an engine cannot."""

    def run_traced(self, crops: Pixels) -> tuple[Scores, Trace | None]:
        """What `Session.run` gives, and the router's view; None for a model without experts."""
        ...


def check_crops(crops: Pixels, size: int) -> None:
    """Refuse anything but uint8 ``(N, S, S, 3)`` with N at least 1.

    Raises:
        ConfigError: with what was given and what is expected.
    """
    shape = getattr(crops, "shape", None)
    dtype = getattr(crops, "dtype", type(crops).__name__)
    if dtype != np.uint8 or shape is None or len(shape) != 4 or shape[1:] != (size, size, 3):
        raise ConfigError(f"crops are {dtype} {shape}: uint8 (N, {size}, {size}, 3) is expected")
    if shape[0] == 0:
        raise ConfigError("there are no crops to score: the batch is empty")
