"""`KEY=VALUE` texts to a network's and a run's settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from lifeiqa.config import ModelConfig
from lifeiqa.errors import ConfigError
from lifeiqa.training.recipe import Recipe


def from_changes(changes: Iterable[str]) -> tuple[ModelConfig, Recipe]:
    """Defaults with changes; a name belongs to `ModelConfig` or to `Recipe`, and to one alone.

    Args:
        changes: ``backbone=lite0``, ``dim=192``, ``lr=3e-4``, ``memory_stage=none``,
            ``frozen_layers=conv_stem,bn1``.

    Raises:
        ConfigError: a name that neither has, or a value that does not fit.
    """
    fields = {
        field.name: (kind, str(field.type))
        for kind in (ModelConfig, Recipe)
        for field in dataclasses.fields(kind)
    }
    values: dict[type, dict[str, Any]] = {ModelConfig: {}, Recipe: {}}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or name not in fields:
            raise ConfigError(
                f"--set {change}: write KEY=VALUE with KEY one of {', '.join(fields)}"
            )
        kind, annotation = fields[name]
        values[kind][name] = _value(change, text, annotation)
    return ModelConfig(**values[ModelConfig]), Recipe(**values[Recipe])


def _value(change: str, text: str, annotation: str) -> Any:
    if annotation.startswith("tuple"):
        return tuple(part for part in text.split(",") if part)
    if text == "none" and "None" in annotation:
        return None
    if not annotation.startswith(("int", "float")):
        return text
    kind, what = (float, "number") if annotation.startswith("float") else (int, "whole number")
    try:
        return kind(text)
    except ValueError:
        raise ConfigError(f"--set {change}: a {what} is expected") from None
