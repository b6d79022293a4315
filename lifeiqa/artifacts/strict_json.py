"""Untrusted JSON: an object of bounded size and depth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lifeiqa.errors import ArtifactError

MAX_BYTES = 1 << 24
"""Of a manifest; those of lifeiqa have about 10,000."""
_MAX_DEPTH = 64


def read_text(path: Path) -> str:
    """The text of a manifest's file.

    Raises:
        ArtifactError: it is larger than `MAX_BYTES`, and then not read, or is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        return content.decode()
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: the manifest cannot be read: {error}") from error


def parsed(text: str, origin: str) -> dict[str, Any]:
    """The values of a JSON object.

    Raises:
        ArtifactError: it is not one, larger than `MAX_BYTES`, nested too deep, or a text in it is
            not valid Unicode; the message names ``origin``.
    """
    try:
        if len(text) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("not a JSON object")
        _require_shallow(values)
        json.dumps(values, ensure_ascii=False).encode()  # half of a surrogate pair is not text
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{origin}: the manifest cannot be read: {error}") from error
    return values


def _require_shallow(values: dict[str, Any]) -> None:
    layer: list[Any] = [values]
    for _ in range(_MAX_DEPTH):
        inner: list[Any] = []
        for each in layer:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        if not inner:
            return
        layer = inner
    raise ValueError(f"its values are nested deeper than {_MAX_DEPTH}")
