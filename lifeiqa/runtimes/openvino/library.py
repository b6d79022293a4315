"""The package openvino, imported so that it sends and prints nothing."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from lifeiqa.errors import require

_ABSENT = object()
_TELEMETRY = "openvino_telemetry"
_lock = threading.Lock()


def load_openvino(purpose: str) -> ModuleType:
    """The package ``openvino``, imported so that it sends nothing.

    Its first import reports itself to its makers, unasked, unless a file in the home directory or
    the variable ``CI`` forbids it, and leaves an identifier of the user in that directory. Where
    its telemetry package cannot be imported it uses a stub of its own, which is what happens here.
    A process that imported ``openvino`` before has made that choice itself.

    Args:
        purpose: see `lifeiqa.errors.require`.

    Raises:
        MissingDependencyError: it is not installed.
    """
    with _lock, _hidden(_TELEMETRY):
        return require("openvino", extra="openvino", purpose=purpose)


@functools.cache
def openvino_core(ov: Any) -> Any:
    """The one ``openvino.Core`` of the process, never let go.

    The plugin of a core gives the thread that loads it an alternate signal stack, and on its end
    puts back the one that it found. Of two cores that end in the order they began, the second puts
    back that of the first, whose memory is gone: the next signal kills the process. A child that
    ends would do, or Ctrl-C.
    """
    return ov.Core()


def openvino_from_onnx(ov: Any, path: Path) -> Any:
    """An ``openvino.Model``, read by the reader of ONNX alone.

    ``Core.read_model`` lets every reader it has look at a file that is no ONNX, and one of them
    writes to standard error what it thinks of it.

    Raises:
        Exception: OpenVINO's own, for a file that cannot be read.
    """
    reader = ov.frontend.FrontEndManager().load_by_framework("onnx")
    return reader.convert(reader.load(str(path)))


def openvino_words(ov: Any) -> str:
    """``OpenVINO 2026.4.1 CPU``, for reports."""
    return f"OpenVINO {ov.get_version().partition('-')[0]} CPU"


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Let a module be missing for a while; afterwards it is what it was before."""
    before = sys.modules.get(module, _ABSENT)
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if isinstance(before, ModuleType):
            sys.modules[module] = before
        else:
            del sys.modules[module]
