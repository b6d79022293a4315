"""Everything that a run depends on apart from its data, read from layers of TOML.

A later layer changes what an earlier one says, name by name: a recipe (how it is trained), then a
preset or a checkpoint (which network), then what the recipe says of the literature's protocol, and
at last ``KEY=VALUE`` texts. Each
may hold any of four tables::

    [model]          the fields of lifeiqa.config.ModelConfig
    [images]       the fields of Images
    [training]       the fields of lifeiqa.training.recipe.Recipe
    [phases.NAME]    the fields of lifeiqa.training.recipe.Phase, phases in order

TOML has no null: ``"none"`` stands for it.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.config import ModelConfig
from lifeiqa.errors import ConfigError, require
from lifeiqa.preprocess.crops import CropPlan
from lifeiqa.training.recipe import Phase, Recipe

Layer = Mapping[str, Any]
"""A parsed TOML file."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """How images are fed; mean and standard deviation come from the backbone.

    Attributes:
        short_side: working scale in pixels, see `lifeiqa.config.Preprocessing`; None for none.
        crops: crop plan of validation, of the test, and of the model.
    """

    short_side: int | None = None
    crops: str = "five"

    def __post_init__(self) -> None:
        CropPlan.parse(self.crops)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A network, how it is fed, and how it learns."""

    model: ModelConfig
    images: Images
    training: Recipe

    def to_dict(self) -> dict[str, Any]:
        """The four tables as JSON and TOML have them; `settings_from_layers` takes them back."""
        tables = {
            "model": dataclasses.asdict(self.model),
            "images": dataclasses.asdict(self.images),
            "training": dataclasses.asdict(self.training),
        }
        phases = tables["training"].pop("phases")
        tables["phases"] = {phase.pop("name"): phase for phase in phases}
        plain: dict[str, Any] = _plain(tables)
        return plain

    def to_toml(self) -> str:
        """The four tables as a file that ``--recipe`` takes."""
        writer = require("tomli_w", extra="train", purpose="the record of a run")
        text: str = writer.dumps(self.to_dict())
        return text


_TABLES: dict[str, type] = {"model": ModelConfig, "images": Images, "training": Recipe}


def settings_from_layers(layers: Iterable[Layer]) -> Settings:
    """Put layers on top of each other.

    Raises:
        ConfigError: an unknown table or name, or a value that does not fit.
    """
    tables: dict[str, dict[str, Any]] = {name: {} for name in _TABLES}
    phases: dict[str, dict[str, Any]] = {}
    for layer in layers:
        unknown = sorted(set(layer) - set(_TABLES) - {"phases"})
        if unknown:
            known = ", ".join([*_TABLES, "phases.NAME"])
            raise ConfigError(f"settings have no table {unknown[0]!r}; they have {known}")
        for name, kind in _TABLES.items():
            tables[name] |= _values(kind, layer.get(name, {}), name)
        named = layer.get("phases", {})
        if not isinstance(named, Mapping):
            raise ConfigError(f"phases is {named!r}: tables [phases.NAME] are expected")
        for name, values in named.items():
            phases.setdefault(name, {}).update(_values(Phase, values, f"phases.{name}"))
    for name, values in phases.items():
        missing = {"epochs", "lr"} - set(values)
        if missing:
            raise ConfigError(f"phase {name} has no {' and no '.join(sorted(missing))}")
    tables["training"]["phases"] = [Phase(name=n, **values) for n, values in phases.items()]
    return Settings(**{name: kind(**tables[name]) for name, kind in _TABLES.items()})


def layer_from_file(path: Path) -> Layer:
    """Read a TOML file of the user's.

    Raises:
        ConfigError: it is missing or no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: these settings cannot be read: {error}") from error


def layer_from_checkpoint(path: Path) -> Layer:
    """The network of a checkpoint, and how its images are fed.

    Raises:
        ArtifactError: the file is missing, damaged, or no checkpoint.
    """
    manifest = read_manifest(path)
    fed = manifest.preprocessing
    layer: Layer = _plain(
        {
            "model": manifest.config.to_dict(),
            "images": {"short_side": fed.short_side, "crops": fed.crops},
        }
    )
    return layer


def names_of(kind: str) -> list[str]:
    """What the package carries: ``kind`` is ``"presets"`` or ``"recipes"``."""
    folder = resources.files("lifeiqa.training") / kind
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())


def layer_named(kind: str, name: str) -> Layer:
    """One of `names_of`.

    Raises:
        ConfigError: there is none of that name; those that are, are listed.
    """
    if name not in names_of(kind):
        raise ConfigError(
            f"{name}: no {kind.removesuffix('s')} of that name; there are "
            f"{', '.join(names_of(kind))}. A file of yours is named by its path"
        )
    entry = resources.files("lifeiqa.training") / kind / f"{name}.toml"
    return tomllib.loads(entry.read_text("utf-8"))


def layer_from_changes(changes: Iterable[str]) -> Layer:
    """``KEY=VALUE`` texts: ``dim=192``, ``memory_stage=none``, ``joint.unfreeze=blocks.5``.

    Raises:
        ConfigError: the text has no such form, or no table has that name.
    """
    layer: dict[str, Any] = {name: {} for name in [*_TABLES, "phases"]}
    for change in changes:
        name, equals, text = change.partition("=")
        phase, dot, phase_field = name.rpartition(".")
        tables = [table for table, kind in _TABLES.items() if name in _fields(kind)]
        if equals and dot and phase_field in _fields(Phase):
            values = layer["phases"].setdefault(phase, {})
            values[phase_field] = _parsed(change, text, _fields(Phase)[phase_field])
        elif equals and tables:
            annotation = _fields(_TABLES[tables[0]])[name]
            layer[tables[0]][name] = _parsed(change, text, annotation)
        else:
            names = [name for kind in _TABLES.values() for name in _fields(kind)]
            raise ConfigError(
                f"--set {change}: write KEY=VALUE with KEY one of {', '.join(names)}, "
                f"or PHASE.KEY with one of {', '.join(_fields(Phase))}"
            )
    return layer


def _fields(kind: type) -> dict[str, str]:
    """Name -> annotation of what a table may hold."""
    own = {"phases"} if kind is Recipe else {"name"} if kind is Phase else set()
    return {f.name: str(f.type) for f in dataclasses.fields(kind) if f.name not in own}


def _values(kind: type, values: Any, table: str) -> dict[str, Any]:
    """The values of one table, each of the kind that its field wants."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"[{table}] is {values!r}: a table is expected")
    fields = _fields(kind)
    for name in values:
        if name not in fields:
            raise ConfigError(f"[{table}] has no {name!r}; it has {', '.join(fields)}")
    return {name: _checked(f"[{table}] {name}", values[name], fields[name]) for name in values}


def _checked(where: str, value: Any, annotation: str) -> Any:
    if value == "none" and "None" in annotation:
        return None
    wanted = annotation.removesuffix(" | None")
    kinds: dict[str, tuple[tuple[type, ...], str]] = {
        "int": ((int,), "a whole number"),
        "float": ((int, float), "a number"),
        "bool": ((bool,), "true or false"),
        "tuple[str, ...]": ((list, tuple), "a list of texts"),
    }
    kind, what = kinds.get(wanted, ((str,), "a text"))
    if not isinstance(value, kind) or (isinstance(value, bool) and wanted != "bool"):
        raise ConfigError(f"{where} is {value!r}: {what} is expected")
    if wanted == "float":
        return float(str(value))
    return value


def _parsed(change: str, text: str, annotation: str) -> Any:
    """A value of TOML from the text of a command line."""
    wanted = annotation.removesuffix(" | None")
    if text == "none" and wanted != annotation:
        return text
    if wanted == "tuple[str, ...]":
        return [part for part in text.split(",") if part]
    if wanted == "bool":
        if text not in ("true", "false"):
            raise ConfigError(f"--set {change}: true or false is expected")
        return text == "true"
    if wanted not in ("int", "float"):
        return text
    what = "number" if wanted == "float" else "whole number"
    try:
        return float(text) if wanted == "float" else int(text)
    except ValueError:
        raise ConfigError(f"--set {change}: a {what} is expected") from None


def _plain(value: Any) -> Any:
    """Tuples as lists and None as ``"none"``, all the way down."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return "none" if value is None else value
