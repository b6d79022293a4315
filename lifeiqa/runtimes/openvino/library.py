"""The package openvino, imported so that it sends nothing and prints nothing."""

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

    Its first import sends telemetry without asking, unless a file in the home directory or the
    variable ``CI`` forbids it, and writes an identifier of the user to that directory. Where its
    telemetry package cannot be imported, it uses a stub of its own, and that is what happens here.
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
    """The one ``openvino.Core`` of the process, which is never released.

    The plugin of a core gives the thread that loads it an alternate signal stack, and restores the
    previous one when it ends. If two cores end in the order in which they began, the second
    restores the stack of the first, whose memory is gone, and the next signal kills the process: a
    child that ends is enough, or Ctrl-C.
    """
    return ov.Core()


def openvino_from_onnx(ov: Any, path: Path) -> Any:
    """An ``openvino.Model``, read by the ONNX reader only.

    ``Core.read_model`` lets every reader try a file that is not ONNX, and one of them writes its
    complaint to standard error.

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
    """Hide a module for a block, and restore it afterwards."""
    before = sys.modules.get(module, _ABSENT)
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if isinstance(before, ModuleType):
            sys.modules[module] = before
        else:
            del sys.modules[module]
