"""From a checkpoint to an ONNX file with proof of what that cost.

Importing this package loads nothing: PyTorch and ONNX come with the first use of a name below.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lifeiqa_export.dense import densify
    from lifeiqa_export.export import Exported, export_checkpoint
    from lifeiqa_export.graph import onnx_from_model
    from lifeiqa_export.half import to_half
    from lifeiqa_export.windows import gather_windows

_HOMES = {
    "Exported": "export",
    "densify": "dense",
    "export_checkpoint": "export",
    "gather_windows": "windows",
    "to_half": "half",
    "onnx_from_model": "graph",
}
__all__ = [
    "Exported",
    "densify",
    "export_checkpoint",
    "gather_windows",
    "to_half",
    "onnx_from_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lifeiqa_export' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lifeiqa_export.{_HOMES[name]}"), name)
