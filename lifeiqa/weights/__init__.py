"""The bundled models: checkpoints, their ONNX forms, and a card each that says what it is."""

from __future__ import annotations

import os
from pathlib import Path

from lifeiqa.errors import ConfigError

MODELS = ("fast", "accurate")
"""Names of the bundled models."""
DEFAULT = "fast"
"""Name of the model that is used when none is given."""
_REPLACED = {"lite0-biq2021": "fast"}
"""Former name -> the model that took its place. Scores of the two are not comparable."""


def bundled(name: str = DEFAULT, suffix: str = ".fp32.onnx") -> Path | None:
    """The bundled file ``name + suffix``, or None when there is none of that name."""
    files = {path.name: path for path in Path(__file__).parent.iterdir()}
    return files.get(name + suffix)


def model_file(model: str | os.PathLike[str], suffix: str = ".fp32.onnx") -> Path:
    """A model file by its path, or the file ``NAME + suffix`` of a bundled model by its name.

    Raises:
        ConfigError: it is neither.
    """
    path = Path(model)
    if path.is_file():
        return path
    name = os.fspath(model)
    if (found := bundled(name, suffix)) is not None:
        return found
    if name in _REPLACED:
        raise ConfigError(
            f"{name}: the bundled model {_REPLACED[name]!r} replaced it, and its scores are not "
            f"comparable. Name that model, or the file of the former one"
        )
    raise ConfigError(
        f"{name}: neither a file nor a bundled model; bundled are {', '.join(MODELS)}"
    )
