"""A model small enough to build in a test: its score is the mean of a crop's samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from lifeiqa.artifacts.manifest import METADATA_KEY, Manifest, sidecar_of, sidecar_text
from lifeiqa.config import Labels, ModelConfig, Preprocessing
from lifeiqa.files import sha256_of
from lifeiqa.preprocess.decode import Pixels

SIZE = 32


def manifest(**changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "name": "tiny",
        "kind": "onnx",
        "config": ModelConfig(crop_size=SIZE, head="none"),
        "preprocessing": Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25)),
        "labels": Labels(dataset="greys", low=0, high=255, normalised=False),
        "opset": 17,
    }
    return Manifest(**{**values, **changes})


def model(*, gain: float = 1.0, batch: int | None = None, side: int = SIZE) -> onnx.ModelProto:
    """uint8 (batch, S, S, 3) -> float32 (batch,): ``gain`` times the mean of each crop."""
    size = batch or "batch"
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["crops"], ["samples"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["samples"], ["mean"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Mul", ["mean", "gain"], ["score"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, [size, side, side, 3])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [size])],
        [helper.make_tensor("gain", TensorProto.FLOAT, [], [gain])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write_model(path: Path, *, gain: float = 1.0, embed: bool = False, **changes: Any) -> Path:
    """Write the model with its manifest: in a sidecar, or with ``embed`` inside the file alone."""
    described = manifest(**changes)
    proto = model(gain=gain, batch=described.batch, side=described.config.crop_size)
    if embed:
        helper.set_model_props(proto, {METADATA_KEY: described.to_json()})
    onnx.save(proto, path)
    if not embed:
        write_sidecar(path, **changes)
    return path


def write_router(path: Path) -> Path:
    """Write the model with two values on its way named as an exported router names them."""
    proto, kind = model(gain=0.5), TensorProto.FLOAT
    proto.graph.initializer.append(helper.make_tensor("head.router.weight", kind, [], [2.0]))
    scaling = proto.graph.node.pop()
    scaling.input[0] = "router_logits"
    proto.graph.node.extend(
        [
            helper.make_node("Identity", ["mean"], ["router_inputs"]),
            helper.make_node("Mul", ["router_inputs", "head.router.weight"], ["router_logits"]),
            scaling,
        ]
    )
    for name in ("router_inputs", "router_logits"):
        proto.graph.value_info.append(helper.make_tensor_value_info(name, kind, ["batch"]))
    onnx.save(proto, path)
    write_sidecar(path, config=ModelConfig(crop_size=SIZE, head="moe"))
    return path


def write_sidecar(path: Path, **changes: Any) -> Path:
    """Write a manifest beside a file, with that file's sha256."""
    sidecar = sidecar_of(path)
    sidecar.write_text(sidecar_text(manifest(**{"files": {path.name: sha256_of(path)}, **changes})))
    return sidecar


def crops(*greys: float) -> Pixels:
    """A crop of one grey each, uint8 (n, S, S, 3)."""
    levels = np.array(greys, dtype=np.uint8).reshape(-1, 1, 1, 1)
    return np.ascontiguousarray(np.broadcast_to(levels, (len(greys), SIZE, SIZE, 3)))


def write_image(path: Path, grey: int = 128, size: tuple[int, int] = (40, 36)) -> Path:
    """A PNG of one grey; its ending need not say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path, "PNG")
    return path
