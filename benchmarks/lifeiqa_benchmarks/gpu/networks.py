"""The networks that are measured, in the forms that run on a GPU.

Only the bundled model has trained weights; those of the others are random.
"""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import onnx
import torch

from lifeiqa.artifacts.manifest import Manifest, Parent, write_with_sidecar
from lifeiqa.config import Precision
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.network import ScoringModel
from lifeiqa.weights import DEFAULT, bundled
from lifeiqa_benchmarks.untrained import write_untrained
from lifeiqa_export.dense import densify
from lifeiqa_export.graph import OPSET, onnx_from_model, set_metadata
from lifeiqa_export.half import to_half
from lifeiqa_export.windows import gather_windows

NETWORKS = (DEFAULT, "swin_tiny", "swin_base")
"""The bundled model, and the paper's network on two backbones with random weights."""


def checkpoint_of(network: str, folder: Path) -> Path:
    """The checkpoint of one of `NETWORKS`; random weights are written once and reused."""
    own = bundled(network, ".safetensors")
    if own is not None:
        return own
    path = folder / f"{network}.safetensors"
    if not path.is_file():
        write_untrained(network, path)
    return path


def sparse_model(network: str, folder: Path) -> tuple[ScoringModel, Manifest]:
    """The network as a checkpoint is run: only the chosen experts, timm's fused attention."""
    loaded, manifest = load_checkpoint(checkpoint_of(network, folder))
    model = ScoringModel(loaded, manifest.preprocessing, manifest.labels).eval()
    return model, manifest


def dense_model(sparse: ScoringModel) -> ScoringModel:
    """All experts on all tokens, as compilers and CUDA graphs need it; attention stays fused."""
    dense = densify(sparse)
    fused = {name for name, module in sparse.named_modules() if getattr(module, "fused_attn", 0)}
    for name, module in dense.named_modules():
        if name in fused:
            module.fused_attn = True
    return dense


def half_dense_model(sparse: ScoringModel) -> ScoringModel:
    """`dense_model` in the half precision that is exported."""
    return to_half(dense_model(sparse))


def flops_of(sparse: ScoringModel) -> int:
    """Floating-point operations of products and convolutions for one crop, 2 for a multiply-add."""
    from torch.utils.flop_counter import FlopCounterMode

    plain = copy.deepcopy(sparse)
    for module in plain.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]  # fused attention may not be counted
    size = sparse.network.config.crop_size
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        plain(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    return int(counter.get_total_flops())


def onnx_path(network: str, precision: Precision, folder: Path) -> Path:
    """Where `export` puts a graph."""
    return folder / f"{network}.{precision}.onnx"


def export(network: str, precision: Precision, folder: Path) -> Path:
    """The graph that lifeiqa-export makes, without its measurement of parity, which comes later."""
    checkpoint = checkpoint_of(network, folder)
    sparse, parent = sparse_model(network, folder)
    model = gather_windows(densify(sparse))
    proto = onnx_from_model(to_half(model) if precision == "fp16" else model)
    manifest = dataclasses.replace(
        parent,
        kind="onnx",
        opset=OPSET,
        precision=precision,
        parents=(Parent(file=checkpoint.name, sha256=parent.sha256 or ""), *parent.parents),
        files={},
    )
    set_metadata(proto, manifest)
    path = onnx_path(network, precision, folder)
    write_with_sidecar(path, manifest, lambda temporary: onnx.save(proto, temporary))
    return path
