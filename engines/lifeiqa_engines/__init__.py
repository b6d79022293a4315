"""From an ONNX file to a TensorRT engine.

Importing this package loads nothing: TensorRT comes with the first use of a name below.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lifeiqa_engines.build import EnginePath, engine_from_onnx
    from lifeiqa_engines.network import Support, check_onnx

_HOMES = {
    "EnginePath": "lifeiqa_engines.build",
    "Support": "lifeiqa_engines.network",
    "check_onnx": "lifeiqa_engines.network",
    "engine_from_onnx": "lifeiqa_engines.build",
}
__all__ = ["EnginePath", "Support", "check_onnx", "engine_from_onnx"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
