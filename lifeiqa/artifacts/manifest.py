"""The manifest of a model file: what it is, what it came from, how to feed it, how far it drifted.

A checkpoint carries its manifest in the safetensors header. Any other model file has a sidecar,
``<file>.json``, which names the files of the model, each with its sha256, and holds a checksum of
its own values, so that a change to any of them is found. An ONNX file also carries a copy inside
and may lack its sidecar; it is then called not verified, since no sum covers it. The sums are not a
signature: whoever can write all the files can make them agree. So an ONNX file is inspected before
any runtime opens it, whatever the sums say, see `lifeiqa.artifacts.onnx_inspect`, and weights in
other files that no sum covers are refused.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lifeiqa.artifacts.engine_info import EngineInfo
from lifeiqa.artifacts.manifest_format import FORMAT, fields_from_json
from lifeiqa.artifacts.onnx_inspect import read_onnx
from lifeiqa.artifacts.strict_json import parsed, read_text
from lifeiqa.config import Labels, ModelConfig, Precision, Preprocessing
from lifeiqa.errors import ArtifactError, ConfigError, require
from lifeiqa.files import atomic_write, require_plain_name, sha256_of

METADATA_KEY = "lifeiqa"
"""Key of the JSON text in the metadata of a safetensors or ONNX file."""
CHECKSUM = "checksum"
"""Key of the checksum in a sidecar."""


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
        kind: what the file is: ``"checkpoint"``, ``"onnx"``, ``"engine"``, or another word for a
            file of another runtime.
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
            group of layers cost by itself, and what the ranges were taken from.
        tools: versions of the packages that wrote the file.
        parity: one record for each link of the parity suite, see `lifeiqa.parity.report`.
        files: names of the model's files, the model file and those beside it, and the sha256 of
            each; "/" separates folders. Empty inside the file itself.
        verified: False where no sum covers the model: there is no sidecar, or `read_manifest` was
            told to accept what does not match it. It is never written.

    Raises:
        ConfigError: the name cannot be part of the name of a file.
    """

    name: str
    kind: str
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
    files: dict[str, str] = field(default_factory=dict)
    verified: bool = True

    def __post_init__(self) -> None:
        require_plain_name("name", self.name)

    @property
    def sha256(self) -> str | None:
        """The sum that stands for the model in reports; None where no file is named.

        For one file it is that of the file. For several it is the sha256 of the lines that
        ``sha256sum`` prints for them, sorted by name.
        """
        if len(self.files) < 2:
            return next(iter(self.files.values()), None)
        lines = (f"{self.files[name]}  {name}\n" for name in sorted(self.files))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

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
        """The inverse of `to_json`; a text of format 1 is read as well.

        Raises:
            ArtifactError: it is not such a text; the message names ``origin``.
        """
        return cls._from_values(parsed(text, origin), origin=origin)

    @classmethod
    def _from_values(cls, values: dict[str, Any], *, origin: str) -> Manifest:
        try:
            fields = fields_from_json(values, file=Path(origin).name.removesuffix(".json"))
            fields["parents"] = tuple(Parent(**parent) for parent in fields["parents"])
            return cls(**fields)
        except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
            cause = f"no {error}" if isinstance(error, KeyError) else error
            raise ArtifactError(f"{origin}: the manifest cannot be read: {cause}") from error


def sidecar_of(path: Path) -> Path:
    """``model.fp16.onnx`` -> ``model.fp16.onnx.json``."""
    return path.with_name(path.name + ".json")


def write_with_sidecar(
    path: Path,
    manifest: Manifest,
    write: Callable[[Path], None],
    *,
    beside: Sequence[Path] = (),
) -> Manifest:
    """Write a model file and its sidecar; each is whole or absent, and sums tie them together.

    Args:
        path: of the model file.
        manifest: what it is; its files are filled in.
        write: writes the model to the path that it is given.
        beside: other files of the model, which lie in its folder already.

    Returns:
        The manifest as it stands in the sidecar.
    """
    with atomic_write(sidecar_of(path)) as sidecar, atomic_write(path) as temporary:
        write(temporary)
        sums = {path.name: sha256_of(temporary), **{each.name: sha256_of(each) for each in beside}}
        manifest = dataclasses.replace(manifest, files=sums)
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
    """The manifest of a model file, checked against the sums of its files where a sidecar has them.

    An ONNX file is inspected as well, see `lifeiqa.artifacts.onnx_inspect.read_onnx`.

    Args:
        path: of the model file.
        verify: whether a sum that does not match is an error, and so are weights in other files
            that no sum covers. If not, `Manifest.verified` tells, and the sums are those of the
            files as they are. A checkpoint has no sums.

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
    if path.suffix == ".engine" and manifest.engine is None:
        raise ArtifactError(
            f"{path}: its manifest describes a file of kind {manifest.kind!r}, not an engine"
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
            f"Drop --no-verify, or verify=False"
        )


def _from_sidecar(path: Path, sidecar: Path, *, verify: bool) -> Manifest:
    if not sidecar.is_file():  # a pipe may wait for ever
        raise ArtifactError(f"{sidecar}: the manifest is not a regular file")
    values = parsed(read_text(sidecar), str(sidecar))
    stated, expected = values.pop(CHECKSUM, None), _checksum(values)
    if verify and stated != expected:
        raise ArtifactError(
            f"{sidecar}: its checksum is {stated}, its values give {expected}. It was "
            f"changed, or written before manifests had one: export or build {path.name} again"
        )
    manifest = Manifest._from_values(values, origin=str(sidecar))
    named = _files_of(path, manifest, sidecar)
    actual = {}
    for file, said in named.items():
        actual[file.relative_to(path.parent).as_posix()] = found = sha256_of(file)
        if verify and found != said:
            raise ArtifactError(
                f"{file}: its sha256 is {found}, the manifest {sidecar.name} says {said}. "
                f"One of the two was replaced: export again with lifeiqa-export"
            )
    verified = stated == expected and list(named.values()) == list(actual.values())
    return dataclasses.replace(manifest, files=actual, verified=verified)


def _files_of(path: Path, manifest: Manifest, sidecar: Path) -> dict[Path, str | None]:
    """The files of a model and the sums that its manifest states; a lone file may be renamed."""
    if len(manifest.files) < 2:
        return {path: manifest.sha256}
    if path.name not in manifest.files:
        raise ArtifactError(
            f"{path}: the manifest {sidecar.name} names {', '.join(manifest.files)}, and not "
            f"{path.name}. Give the files their names back, or export again"
        )
    found: dict[Path, str | None] = {
        path.parent / name: said for name, said in manifest.files.items()
    }
    for file in found:
        if not file.is_file():
            raise ArtifactError(f"{path}: its file {file.name} is missing: put it beside {path}")
    return found


def _self_contained(path: Path, manifest: Manifest | None, *, verify: bool) -> Manifest:
    """The manifest of an ONNX file that may be opened; None stands for the one inside."""
    file = read_onnx(path)
    if manifest is None:
        manifest = dataclasses.replace(_embedded(file.metadata, path), verified=False)
    if manifest.kind != "onnx":
        raise ArtifactError(
            f"{path}: its manifest describes a file of kind {manifest.kind!r}, not an ONNX model"
        )
    uncovered = [name for name in file.external if name not in manifest.files]
    if not uncovered:
        return manifest
    if verify:
        raise ArtifactError(
            f"{path}: uses external data: {', '.join(uncovered)}, which its manifest does not "
            f"name, so that a change there would go unseen. Export it again with lifeiqa-export, "
            f"which writes one file, or leave it unverified: --no-verify"
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
    return dataclasses.replace(manifest, files={path.name: sha256_of(path)})
