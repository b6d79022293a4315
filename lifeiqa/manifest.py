"""The manifest of a model file: what it is, what it came from, how to feed it, how far it drifted.

A checkpoint carries its manifest in the safetensors header. Any other model file has a sidecar,
``<file>.json``, which holds the sha256 of the file and a checksum of its own values, so that a
change to either is found; an ONNX file also carries a copy inside. Neither sum is a signature:
whoever can write both files can make them agree.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from lifeiqa.config import Labels, ModelConfig, Precision, Preprocessing
from lifeiqa.engine import EngineInfo
from lifeiqa.errors import ArtifactError, ConfigError, require
from lifeiqa.files import atomic_write, sha256_of
from lifeiqa.runtimes import installed, load_openvino, openvino_from_onnx

METADATA_KEY = "lifeiqa"
"""Key of the JSON text in the metadata of a safetensors or ONNX file."""
FORMAT = 1
"""Version of the JSON layout."""

CHECKSUM = "checksum"
"""Key of the checksum in a sidecar."""

Kind = Literal["checkpoint", "onnx", "engine"]


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The file that an artifact was made from."""

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything about a model file that its pixels-to-score contract depends on.

    Attributes:
        name: the model's name, kept along the whole chain of artifacts.
        kind: what the file is.
        config: the network.
        preprocessing: how a picture becomes crops, and crops network input.
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
        parity: one record for each link of the parity suite, see `lifeiqa.parity`.
        sha256: of the file; None inside the file itself.
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

    def to_json(self, *, indent: int | None = None) -> str:
        """JSON text in one stable order, with the format's version first."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=indent)

    @classmethod
    def from_json(cls, text: str, *, origin: str) -> Manifest:
        """The inverse of `to_json`.

        Raises:
            ArtifactError: it is not such a text; the message names ``origin``.
        """
        return cls._from_values(_parsed(text, origin), origin=origin)

    @classmethod
    def _from_values(cls, values: dict[str, Any], *, origin: str) -> Manifest:
        try:
            if values.pop("format", None) != FORMAT:
                raise ValueError(f"it is not a manifest of format {FORMAT}")
            if values["kind"] not in get_args(Kind):
                raise ValueError(f"kind is {values['kind']!r}")
            if values["precision"] not in get_args(Precision):
                raise ValueError(f"precision is {values['precision']!r}")
            if not isinstance(values.get("quantisation", {}), dict):
                raise ValueError(f"quantisation is {values['quantisation']!r}")
            batch = values.get("batch")
            if batch is not None and not (isinstance(batch, int) and batch >= 1):
                raise ValueError(f"batch is {batch!r}")
            if (values["kind"] == "engine") != (values.get("engine") is not None):
                raise ValueError(f"kind is {values['kind']!r}, engine {values.get('engine')!r}")
            if values.get("engine") is not None:
                values["engine"] = EngineInfo.from_dict(values["engine"])
            values["config"] = ModelConfig.from_dict(values["config"])
            values["preprocessing"] = Preprocessing.from_dict(values["preprocessing"])
            values["labels"] = Labels.from_dict(values["labels"])
            values["parents"] = tuple(Parent(**parent) for parent in values["parents"])
            values["parity"] = tuple(values["parity"])
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


def _parsed(text: str, origin: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("it is no JSON object")
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{origin}: the manifest cannot be read: {error}") from error
    return values


def read_manifest(path: Path) -> Manifest:
    """The manifest of a model file, checked against the file's sha256 where it states one.

    Raises:
        ArtifactError: the file or its manifest is missing, damaged, or they do not belong together.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: no such model file")
    if path.suffix == ".safetensors":
        return _from_safetensors(path)
    sidecar = sidecar_of(path)
    if sidecar.is_file():
        return _from_sidecar(path, sidecar)
    if path.suffix == ".onnx":
        return _from_onnx(path)
    raise ArtifactError(
        f"{path}: there is no manifest {sidecar.name} beside it, and only .safetensors and .onnx "
        f"files carry one inside"
    )


def describe(manifest: Manifest) -> str:
    """A manifest as text for people."""
    config, labels, feed = manifest.config, manifest.labels, manifest.preprocessing
    scale = "own size" if feed.short_side is None else f"short side at most {feed.short_side}"
    head = {
        "moe": f"{config.top_k} of {config.experts} experts",
        "ffn": "feed-forward head",
        "none": "linear head",
    }[config.head]
    lines = {
        "model": f"{manifest.name} ({manifest.kind}, {manifest.precision})",
        "sha256": manifest.sha256,
        "network": f"{config.variant}, {config.backbone_name}, {config.queries} queries of "
        f"{config.dim}, depth {config.depth}, {head}",
        "input": f"uint8 ({manifest.batch or 'batch'}, {config.crop_size}, {config.crop_size}, 3)",
        "engine": manifest.engine and _describe_engine(manifest.engine),
        "pictures": f"{scale}, {feed.resample}, crops {feed.crops}",
        "score": f"{labels.low:g}..{labels.high:g}, {labels.direction} is better; {labels.dataset}",
        "int8": manifest.quantisation and _describe_quantisation(manifest.quantisation),
        "opset": manifest.opset,
        "tools": ", ".join(f"{name} {version}" for name, version in manifest.tools.items()),
    }
    text = [f"{name:9} {value}" for name, value in lines.items() if value]
    text += [f"{'parent':9} {parent.file} {parent.sha256}" for parent in manifest.parents]
    for link in manifest.parity:
        text.append(
            f"{'parity':9} {link['name']}: drift {link['max_drift']}, SROCC {link['srocc']}"
        )
    return "\n".join(text)


def _describe_engine(engine: EngineInfo) -> str:
    batches = ", ".join(map(str, engine.profiles))
    types = ", ".join(f"{count} {name}" for name, count in engine.arithmetic.items())
    built = f"{engine.flavour} {engine.version}, {engine.target}, batch {batches}; tensors: {types}"
    return built + (f"; built on {engine.gpu}, driver {engine.driver}" if engine.gpu else "")


def _describe_quantisation(found: dict[str, Any]) -> str:
    kept, calibrated = found.get("kept", ()), found.get("calibration", {})
    return (
        f"{found.get('layers')} layers, {len(kept) or 'none'} kept in FP32; calibrated on "
        f"{calibrated.get('crops')} crops of {calibrated.get('pictures')} pictures"
    )


def _from_sidecar(path: Path, sidecar: Path) -> Manifest:
    values = _parsed(_read_text(sidecar), str(sidecar))
    stated = values.pop(CHECKSUM, None)
    if stated != _checksum(values):
        raise ArtifactError(
            f"{sidecar}: its checksum is {stated}, its values give {_checksum(values)}. It was "
            f"changed, or written before manifests had one: export or build {path.name} again"
        )
    manifest = Manifest._from_values(values, origin=str(sidecar))
    actual = sha256_of(path)
    if manifest.sha256 != actual:
        raise ArtifactError(
            f"{path}: its sha256 is {actual}, the manifest {sidecar.name} says "
            f"{manifest.sha256}. One of the two was replaced: export again with lifeiqa-export"
        )
    return manifest


def _from_safetensors(path: Path) -> Manifest:
    safetensors = require("safetensors", extra="export", purpose=f"reading {path.name}")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError) as error:
        raise ArtifactError(f"{path}: not a safetensors file: {error}") from error
    return _embedded(metadata, path)


def _from_onnx(path: Path) -> Manifest:
    if installed("openvino") and not installed("onnxruntime"):
        return _embedded(_metadata_by_openvino(path), path)
    runtime = require("onnxruntime", extra="cpu", purpose=f"reading {path.name} without a sidecar")
    try:
        session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises classes of a private module
        raise ArtifactError(f"{path}: not an ONNX model that can be loaded: {error}") from error
    return _embedded(session.get_modelmeta().custom_metadata_map, path)


def _metadata_by_openvino(path: Path) -> dict[str, str]:
    ov: Any = load_openvino(f"reading {path.name} without a sidecar")
    try:
        model = openvino_from_onnx(ov, path)
    except Exception as error:  # some of OpenVINO's classes are of a private module
        raise ArtifactError(f"{path}: not an ONNX model that can be loaded: {error}") from error
    where = ["framework", METADATA_KEY]
    if not model.has_rt_info(where):
        return {}
    return {METADATA_KEY: model.get_rt_info(where).astype(str)}


def _embedded(metadata: dict[str, str], path: Path) -> Manifest:
    if METADATA_KEY not in metadata:
        raise ArtifactError(
            f"{path}: it carries no lifeiqa manifest, so its preprocessing and label range are "
            f"unknown. Checkpoints of the published code are read by: lifeiqa convert"
        )
    manifest = Manifest.from_json(metadata[METADATA_KEY], origin=str(path))
    return dataclasses.replace(manifest, sha256=sha256_of(path))


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: the manifest cannot be read: {error}") from error
