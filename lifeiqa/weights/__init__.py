"""The bundled checkpoint and its ONNX form; MODEL_CARD.md beside them says what they are."""

from __future__ import annotations

from pathlib import Path

DEFAULT = "lite0-biq2021"
"""Name of the model that is used when none is given."""


def bundled(name: str = DEFAULT, suffix: str = ".fp32.onnx") -> Path | None:
    """The bundled file ``name + suffix``, or None when there is none of that name."""
    files = {path.name: path for path in Path(__file__).parent.iterdir()}
    return files.get(name + suffix)
