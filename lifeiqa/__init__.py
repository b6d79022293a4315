"""Blind image quality with Life-IQA: an image in, a score out.

::

    from lifeiqa import Scorer
    print(Scorer().score("photo.jpg").value)

Importing this package loads nothing but the standard library; numpy and Pillow come with the
first use of a name below, a runtime when a model is opened.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lifeiqa.artifacts.manifest import Manifest
    from lifeiqa.config import Precision
    from lifeiqa.errors import LifeIQAError
    from lifeiqa.runtimes import open_session
    from lifeiqa.runtimes.base import Session
    from lifeiqa.scorer import Score, Scorer, score_many

__version__ = "0.2.0"

_HOMES = {
    "LifeIQAError": "errors",
    "Manifest": "artifacts.manifest",
    "Precision": "config",
    "Score": "scorer",
    "Scorer": "scorer",
    "Session": "runtimes.base",
    "open_session": "runtimes",
    "score_many": "scorer",
}
__all__ = [
    "LifeIQAError",
    "Manifest",
    "Precision",
    "Score",
    "Scorer",
    "Session",
    "__version__",
    "open_session",
    "score_many",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lifeiqa' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lifeiqa.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
