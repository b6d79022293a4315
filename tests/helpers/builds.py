"""Exported files of tiny networks, and what TensorRT-RTX builds of them or refuses."""

import dataclasses

import onnx
import pytest
import torch

from helpers.exports import exported_graph
from helpers.tiny_network import tiny_manifest, tiny_model
from lifeiqa.artifacts.engine_info import BatchProfile
from lifeiqa.artifacts.manifest import Parent, write_with_sidecar
from lifeiqa_engines.build import engine_from_onnx
from lifeiqa_export.dense import densify
from lifeiqa_export.half import to_half


def build_engine(path, out, **options):
    return engine_from_onnx(path, out, **{"runtime": "tensorrt-rtx", "target": "sm89", **options})


def profiles(text):
    return [BatchProfile.parse(each) for each in text.split(",")]


def write_network(folder, precision, *, batch=None, **changes):
    """The exported file of a tiny network, as lifeiqa-export writes it."""
    torch.manual_seed(0)
    dense = densify(tiny_model())
    described = dataclasses.replace(
        tiny_manifest(dense),
        kind="onnx",
        precision=precision,
        batch=batch,
        opset=20,
        parents=(Parent(file="tiny.safetensors", sha256="ab" * 32),),
        tools={"onnx": onnx.__version__},
        parity=({"name": "ONNX FP32 -> FP16", "max_drift": 0.0012, "srocc": 0.9999},),
    )
    model = exported_graph(to_half(dense) if precision == "fp16" else dense, batch=batch)
    path = folder / f"tiny.{precision}.onnx"
    described = dataclasses.replace(described, **changes)
    write_with_sidecar(path, described, lambda temporary: onnx.save(model, temporary))
    return path


def refusal(error, path, **options):
    """The message of a build that fails, which leaves nothing behind."""
    out = path.parent / "out"
    with pytest.raises(error) as caught:
        build_engine(path, out, **options)
    assert not out.exists() or list(out.iterdir()) == []
    return str(caught.value)
