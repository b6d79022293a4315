"""Manifests with something in every part."""

import dataclasses
import hashlib
import json

from helpers import tiny
from lifeiqa.artifacts.engine_info import BatchProfile, EngineInfo, Tensor
from lifeiqa.artifacts.manifest import CHECKSUM, Parent, sidecar_of, write_with_sidecar
from lifeiqa.config import Labels, ModelConfig, Preprocessing

FULL = tiny.manifest(
    config=ModelConfig(variant="official", backbone="lite0", head="moe", experts=8, top_k=3),
    preprocessing=Preprocessing(
        mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3), short_side=384, crops="grid:3"
    ),
    labels=Labels(dataset="KADID-10k", low=1, high=5, direction="lower"),
    precision="fp16",
    batch=4,
    parents=(Parent(file="tiny.safetensors", sha256="ab" * 32),),
    training={"seed": 3, "chosen": {"val_srocc": 0.9}},
    tools={"onnx": "1.21.0"},
    parity=({"name": "ONNX FP32 -> FP16", "max_drift": 0.0012, "srocc": 0.99991},),
    files={"tiny.fp16.onnx": "cd" * 32},
)
ENGINE = dataclasses.replace(
    FULL,
    name="tiny-é",
    kind="engine",
    batch=None,
    engine=EngineInfo(
        runtime="tensorrt",
        version="11.2.0.5",
        compute_capability="8.9",
        gpu="NVIDIA L4",
        driver="580.65.06",
        profiles=(BatchProfile.fixed(1), BatchProfile.parse("1:8:32")),
        tensors=(
            Tensor(name="crops", type="uint8", shape=(-1, 32, 32, 3)),
            Tensor(name="score", type="float32", shape=(-1,)),
        ),
        arithmetic={"float16": 9, "float32": 2},
        hardware_compatibility="ampere_plus",
    ),
    parents=(Parent(file="tiny.fp16.onnx", sha256="ef" * 32), *FULL.parents),
)


def write_plan(path, *profiles, batch=-1, **changes):
    """A file with the manifest of an engine."""
    size = ENGINE.config.crop_size
    tensors = (
        dataclasses.replace(ENGINE.engine.tensors[0], shape=(batch, size, size, 3)),
        dataclasses.replace(ENGINE.engine.tensors[1], shape=(batch,)),
    )
    sizes = tuple(map(BatchProfile.parse, profiles))
    info = dataclasses.replace(ENGINE.engine, profiles=sizes, tensors=tensors, **changes)
    manifest = dataclasses.replace(ENGINE, engine=info)
    write_with_sidecar(path, manifest, lambda temporary: temporary.write_bytes(b"a plan"))
    return path


def in_format_1(manifest):
    """The values of a manifest as lifeiqa 0.1 wrote them."""
    values = {**json.loads(manifest.to_json()), "format": 1}
    values["sha256"] = next(iter(values.pop("files").values()), None)
    if values["engine"]:
        values["engine"]["flavour"] = values["engine"].pop("runtime")
    return values


def write_format_1(path, manifest):
    """Write a sidecar as lifeiqa 0.1 wrote it."""
    values = in_format_1(manifest)
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
    values[CHECKSUM] = hashlib.sha256(canonical.encode()).hexdigest()
    sidecar_of(path).write_text(json.dumps(values))
