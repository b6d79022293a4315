"""The JSON layout of a manifest: its version, what it must hold, and how an older one is read."""

from __future__ import annotations

import re
from typing import Any, get_args

from lifeiqa.artifacts.engine_info import EngineInfo
from lifeiqa.config import Labels, ModelConfig, Precision, Preprocessing

FORMAT = 2
"""Version of the layout. Format 1, of lifeiqa 0.1, is read as well."""

_MAX_BATCH, _MAX_OPSET = 65_536, 1_000
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,39}")


def fields_from_json(values: dict[str, Any], *, file: str) -> dict[str, Any]:
    """The fields of a `Manifest` from the values of its JSON text; parents stay plain.

    Args:
        values: of the text.
        file: name of the model file, which a manifest of format 1 does not state.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, ConfigError: they are not those of a
            manifest.
    """
    values = dict(values)
    version = values.pop("format", None)
    if version == 1:
        values = _from_format_1(values, file)
    elif version != FORMAT:
        raise ValueError(
            f"its format is {version!r}, and this lifeiqa reads formats 1 and {FORMAT}; "
            f"a newer format needs a newer lifeiqa"
        )
    if not (isinstance(values["kind"], str) and _KIND.fullmatch(values["kind"])):
        raise ValueError(f"kind is {values['kind']!r}")
    if values["precision"] not in get_args(Precision):
        raise ValueError(f"precision is {values['precision']!r}")
    if "verified" in values:
        raise ValueError("a manifest cannot say whether its file is verified")
    sums = values.get("files", {})
    if not isinstance(sums, dict) or not all(isinstance(each, str) for each in sums.values()):
        raise ValueError(f"files is {sums!r}: names and their sha256 are expected")
    for name in sums:
        if not name or {"", ".", ".."} & set(name.split("/")) or "\0" in name:
            raise ValueError(f"files has {name!r}: a path inside the model's folder is expected")
    for name in ("training", "quantisation", "tools"):
        if not isinstance(values.get(name, {}), dict):
            raise ValueError(f"{name} is {values[name]!r}")
    for name, most in (("batch", _MAX_BATCH), ("opset", _MAX_OPSET)):
        found = values.get(name)
        if found is not None and not (type(found) is int and 1 <= found <= most):
            raise ValueError(f"{name} is {found!r}: 1 to {most} is expected")
    if (values["kind"] == "engine") != (values.get("engine") is not None):
        raise ValueError(f"kind is {values['kind']!r}, engine {values.get('engine')!r}")
    if values.get("engine") is not None:
        values["engine"] = EngineInfo.from_dict(values["engine"])
    values["config"] = ModelConfig.from_dict(values["config"])
    values["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
    values["labels"] = Labels.from_dict(values["labels"])
    short, side = values["preprocessing"].short_side, values["config"].crop_size
    if short is not None and short < side:
        raise ValueError(f"short_side {short} is below the crop of {side} pixels")
    values["parity"] = tuple(values["parity"])
    if not all(isinstance(link, dict) for link in values["parity"]):
        raise ValueError(f"parity is {values['parity']!r}: records are expected")
    return values


def _from_format_1(values: dict[str, Any], file: str) -> dict[str, Any]:
    """Format 1 stated the sha256 of its one file, and called the runtime of an engine flavour."""
    if "files" in values:
        raise ValueError("a manifest of format 1 has no files")
    stated, engine = values.pop("sha256", None), values.get("engine")
    if isinstance(engine, dict):
        engine = dict(engine)
        values["engine"] = {"runtime": engine.pop("flavour"), **engine}
    return {**values, "files": {} if stated is None else {file: stated}}
