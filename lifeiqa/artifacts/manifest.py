"""The manifest of a model file: what it is, what it came from, how to feed it, how far it drifted.

A checkpoint carries its manifest in the safetensors header. Any other model file has a sidecar,
``<file>.json``, which holds the sha256 of the file and a checksum of its own values, so that a
change to either is found. An ONNX file also carries a copy inside and may go without its sidecar,
and is then called not verified, since no sum covers it. Neither sum is a signature:
whoever can write both files can make them agree. So whatever the sums say, an ONNX file is looked
through before any runtime opens it, see `lifeiqa.artifacts.onnx_inspect`, and weights that lie in
other files, which no sum covers, are refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from lifeiqa.artifacts.engine_info import EngineInfo
from lifeiqa.artifacts.onnx_inspect import read_onnx
from lifeiqa.artifacts.strict_json import parsed, read_text
from lifeiqa.config import Labels, ModelConfig, Precision, Preprocessing
from lifeiqa.errors import ArtifactError, ConfigError, require
from lifeiqa.files import atomic_write, require_plain_name, sha256_of

METADATA_KEY = "lifeiqa"
"""Key of the JSON text in the metadata of a safetensors or ONNX file."""
FORMAT = 1
"""Version of the JSON layout."""

CHECKSUM = "checksum"
"""Key of the checksum in a sidecar."""

_MAX_BATCH, _MAX_OPSET = 65_536, 1_000

Kind = Literal["checkpoint", "onnx", "engine"]


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The file that an artifact was made from."""

    file: str
    sha256: str

    def __post_init__(self) -> None:
        require_plain_name("file of a parent", self.file)  # it is looked for beside the child


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything about a model file that its pixels-to-score contract depends on.

    Attributes:
        name: the model's name, kept along the whole chain of artifacts.
        kind: what the file is.
        config: the network.
        preprocessing: how an image becomes crops, and crops network input.
        labels: what a score means.
        precision: arithmetic of the graph.
        batch: the one batch size that the graph takes; None for any, and for an engine.
        engine: what an engine was compiled for; None for any other file.
        opset: ONNX operator set; None for a checkpoint.
        parents: the files it was made from, the nearest first.
        training: data set, split, seed and figures of the run that made the weights.
        quantisation: of an INT8 graph, the recipe, the layers that stayed in float32, what each
            group of layers cost alone, and what the ranges were taken from.
        tools: versions of the packages that wrote the file.
        parity: one record for each link of the parity suite, see `lifeiqa.parity.report`.
        sha256: of the file; None inside the file itself.
        verified: False where no sum covers the file: there is no sidecar, or `read_manifest` was
            told to accept what does not match it. It is never written.

    Raises:
        ConfigError: the name is none for files, which are named after it.
    """

    name: str
    kind: Kind
    config: ModelConfig
    preprocessing: Preprocessing
    labels: Labels
    precision: Precision = "fp32"
    batch: int | None = None
    engine: EngineInfo | None = None
    opset: int | None = None
    parents: tuple[Parent, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)
    quantisation: dict[str, Any] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    parity: tuple[dict[str, Any], ...] = ()
    sha256: str | None = None
    verified: bool = True

    def __post_init__(self) -> None:
        require_plain_name("name", self.name)

    @property
    def title(self) -> str:
        """The name as scores are labelled with it: ``NAME``, or ``NAME (not verified)``."""
        return self.name if self.verified else f"{self.name} (not verified)"

    def to_json(self, *, indent: int | None = None) -> str:
        """JSON text in one stable order, with the format's version first."""
        values = dataclasses.asdict(self)
        del values["verified"]
        return json.dumps({"format": FORMAT, **values}, indent=indent)

    @classmethod
    def from_json(cls, text: str, *, origin: str) -> Manifest:
        """The inverse of `to_json`.

        Raises:
            ArtifactError: it is not such a text; the message names ``origin``.
        """
        return cls._from_values(parsed(text, origin), origin=origin)

    @classmethod
    def _from_values(cls, values: dict[str, Any], *, origin: str) -> Manifest:
        try:
            if values.pop("format", None) != FORMAT:
                raise ValueError(f"it is not a manifest of format {FORMAT}")
            if values["kind"] not in get_args(Kind):
                raise ValueError(f"kind is {values['kind']!r}")
            if values["precision"] not in get_args(Precision):
                raise ValueError(f"precision is {values['precision']!r}")
            if "verified" in values:
                raise ValueError("whether a file is verified is not for its manifest to say")
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
            values["parents"] = tuple(Parent(**parent) for parent in values["parents"])
            values["parity"] = tuple(values["parity"])
            if not all(isinstance(link, dict) for link in values["parity"]):
                raise ValueError(f"parity is {values['parity']!r}: records are expected")
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            cause = f"no {error}" if isinstance(error, KeyError) else error
            raise ArtifactError(f"{origin}: the manifest cannot be read: {cause}") from error


def sidecar_of(path: Path) -> Path:
    """``model.fp16.onnx`` -> ``model.fp16.onnx.json``."""
    return path.with_name(path.name + ".json")


def write_with_sidecar(path: Path, manifest: Manifest, write: Callable[[Path], None]) -> Manifest:
    """Write a model file and its sidecar; each is whole or absent, and sums tie them together.

    Args:
        path: of the model file.
        manifest: what it is; its sha256 is filled in.
        write: writes the model to the path that it is given.

    Returns:
        The manifest as it stands in the sidecar.
    """
    with atomic_write(sidecar_of(path)) as sidecar, atomic_write(path) as temporary:
        write(temporary)
        manifest = dataclasses.replace(manifest, sha256=sha256_of(temporary))
        sidecar.write_text(sidecar_text(manifest), encoding="utf-8")
    return manifest


def sidecar_text(manifest: Manifest) -> str:
    """The text of a sidecar: the manifest with its checksum."""
    values = json.loads(manifest.to_json())
    return json.dumps({**values, CHECKSUM: _checksum(values)}, indent=2) + "\n"


def _checksum(values: dict[str, Any]) -> str:
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def read_manifest(path: Path, *, verify: bool = True) -> Manifest:
    """The manifest of a model file, checked against the file's sha256 where a sidecar states it.

    An ONNX file is looked through as well, see `lifeiqa.artifacts.onnx_inspect.read_onnx`.

    Args:
        path: of the model file.
        verify: whether a sum that does not match is an error, and so are weights in other files of
            the folder, which no sum covers. If not, `Manifest.verified` tells, and the sha256 is
            that of the file as it is. A checkpoint has no sums.

    Raises:
        ArtifactError: the file or its manifest is missing, damaged, or they do not belong together.
        ConfigError: an engine was to be read unverified.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: no such model file")
    if not verify:
        require_verifiable(path)
    if path.suffix == ".safetensors":
        return _from_safetensors(path)
    sidecar = sidecar_of(path)
    manifest = _from_sidecar(path, sidecar, verify=verify) if os.path.lexists(sidecar) else None
    if path.suffix == ".onnx":
        return _self_contained(path, manifest, verify=verify)
    if manifest is None:
        raise ArtifactError(
            f"{path}: there is no manifest {sidecar.name} beside it, and only .safetensors and "
            f".onnx files carry one inside"
        )
    return manifest


def require_verifiable(path: Path) -> None:
    """Refuse to leave an engine unverified.

    Raises:
        ConfigError: the file is an engine.
    """
    if path.suffix == ".engine":
        raise ConfigError(
            f"{path}: an engine is code that runs, so it is never opened unverified. "
            f"Leave out --no-verify, or verify=False"
        )


def _from_sidecar(path: Path, sidecar: Path, *, verify: bool) -> Manifest:
    if not sidecar.is_file():  # a pipe may wait for ever
        raise ArtifactError(f"{sidecar}: the manifest is no regular file")
    values = parsed(read_text(sidecar), str(sidecar))
    stated, expected = values.pop(CHECKSUM, None), _checksum(values)
    if verify and stated != expected:
        raise ArtifactError(
            f"{sidecar}: its checksum is {stated}, its values give {expected}. It was "
            f"changed, or written before manifests had one: export or build {path.name} again"
        )
    manifest = Manifest._from_values(values, origin=str(sidecar))
    actual = sha256_of(path)
    if verify and manifest.sha256 != actual:
        raise ArtifactError(
            f"{path}: its sha256 is {actual}, the manifest {sidecar.name} says "
            f"{manifest.sha256}. One of the two was replaced: export again with lifeiqa-export"
        )
    verified = stated == expected and manifest.sha256 == actual
    return dataclasses.replace(manifest, sha256=actual, verified=verified)


def _self_contained(path: Path, manifest: Manifest | None, *, verify: bool) -> Manifest:
    """The manifest of an ONNX file that may be opened; None stands for the one inside."""
    file = read_onnx(path)
    if manifest is None:
        manifest = dataclasses.replace(_embedded(file.metadata, path), verified=False)
    if manifest.kind != "onnx":
        raise ArtifactError(f"{path}: its manifest describes no ONNX model: {manifest.kind}")
    if not file.external:
        return manifest
    if verify:
        raise ArtifactError(
            f"{path}: weights of it lie in {', '.join(file.external)}, where a change would go "
            f"unseen: the sha256 of its manifest covers {path.name} alone. Export it again with "
            f"lifeiqa-export, which writes one file, or leave it unverified: --no-verify"
        )
    return dataclasses.replace(manifest, verified=False)


def _from_safetensors(path: Path) -> Manifest:
    safetensors = require("safetensors", extra="export", purpose=f"reading {path.name}")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not a safetensors file: {error}") from error
    return _embedded(metadata, path)


def _embedded(metadata: dict[str, str], path: Path) -> Manifest:
    if METADATA_KEY not in metadata:
        raise ArtifactError(
            f"{path}: it carries no lifeiqa manifest, so its preprocessing and label range are "
            f"unknown. Checkpoints of the published code are read by: lifeiqa convert"
        )
    manifest = Manifest.from_json(metadata[METADATA_KEY], origin=str(path))
    return dataclasses.replace(manifest, sha256=sha256_of(path))
