"""Convert checkpoints of the published code, without running code from the file."""

from __future__ import annotations

import pickle
import re
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lifeiqa.artifacts.manifest import Manifest, Parent
from lifeiqa.config import Labels, ModelConfig, Preprocessing
from lifeiqa.errors import CheckpointError, ConfigError
from lifeiqa.files import sha256_of
from lifeiqa.model.checkpoint import load_state, save_checkpoint
from lifeiqa.model.network import LifeIQA

_SWIN = {(96, 6): "swin_tiny", (96, 18): "swin_small", (128, 18): "swin_base"}
"""(width of the first stage, blocks of the third) -> backbone."""
# The published network holds each backbone tensor twice; both must agree.
_COPIES = (
    (r"backbone_stages\.0\.0\.", "patch_embed."),
    (r"backbone_stages\.0\.1\.", "layers_0."),
    (r"backbone_stages\.([123])\.", r"layers_\1."),
)
# Of timm's whole Swin: the classifier, and tables that follow from the window size.
_UNUSED = re.compile(r"^pretrain_model\.(norm|head)\.|\.(relative_position_index|attn_mask)$")


def convert(source: Path, out: Path, labels: Labels, *, top_k: int, heads: int) -> Manifest:
    """Write a published checkpoint as one of lifeiqa.

    Args:
        source: the ``.pth`` file.
        out: the ``.safetensors`` file to write.
        labels: what its scores mean, which the file does not say.
        top_k: experts that a token uses, which the tensors do not show.
        heads: attention heads, likewise.

    Raises:
        CheckpointError: the file cannot be read with ``weights_only``, or its tensors are not
            those of the published network; the unknown and the missing ones are listed.
        ConfigError: the options do not fit the tensors.
    """
    state = read_published(source)
    config = infer_config(state, source, top_k=top_k, heads=heads)
    network = LifeIQA(config)
    load_state(network, translate(state, config, source), origin=str(source))
    manifest = Manifest(
        name=out.stem,
        kind="checkpoint",
        config=config,
        preprocessing=Preprocessing(mean=network.backbone.mean, std=network.backbone.std),
        labels=labels,
        parents=(Parent(file=source.name, sha256=sha256_of(source)),),
        training={"origin": "converted from a checkpoint of the published code"},
        tools={"torch": torch.__version__},
    )
    save_checkpoint(out, network, manifest)
    return manifest


def read_published(source: Path) -> dict[str, Tensor]:
    """The tensors under ``model``; the rest of the file is never unpickled into objects."""
    try:
        # The training configuration beside the tensors is an object of the package yacs. A plain
        # dict stands in for its class, so nothing of yacs is imported or run.
        stand_in = torch.serialization.safe_globals([(OrderedDict, "yacs.config.CfgNode")])
        with stand_in, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on pickles that torch did not write: refused anyway
            content = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{source}: it cannot be read as plain tensors (weights_only): {error}"
        ) from error
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not all(isinstance(t, Tensor) for t in model.values()):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content)
        raise CheckpointError(f"{source}: no dict of tensors under 'model'; it holds {found}")
    return model


def infer_config(state: dict[str, Tensor], source: Path, *, top_k: int, heads: int) -> ModelConfig:
    """The network that the tensors' names and shapes describe."""

    def shape(name: str) -> tuple[int, ...]:
        if name not in state:
            raise CheckpointError(
                f"{source}: missing: {name}; the configuration cannot be inferred without it"
            )
        return tuple(state[name].shape)

    def count(pattern: str) -> int:
        found = (re.match(pattern, name) for name in state)
        return len({match[1] for match in found if match})

    width = shape("pretrain_model.patch_embed.proj.weight")[0]
    blocks = count(r"pretrain_model\.layers\.2\.blocks\.(\d+)\.")
    if (width, blocks) not in _SWIN:
        raise CheckpointError(
            f"{source}: no known Swin has width {width} and {blocks} blocks in its third stage; "
            f"known are {_SWIN}"
        )
    _, queries, dim = shape("bunch_embedding")
    experts = count(r"MOE\.experts\.(\d+)\.")
    common: dict[str, Any] = {
        "variant": "official",
        "backbone": _SWIN[width, blocks],
        "queries": queries,
        "dim": dim,
        "heads": heads,
        "depth": count(r"bunch_decoder\.layers\.(\d+)\."),
    }
    if experts:
        hidden = shape("MOE.experts.0.net.0.weight")[0]
        if top_k > experts:
            raise ConfigError(
                f"{source}: it has {experts} experts; give at most that many with --top-k"
            )
        changes: dict[str, Any] = {"experts": experts, "top_k": top_k, "expert_hidden": hidden}
    else:
        changes = {"head": "ffn", "ffn_hidden": shape("MOE.net.0.weight")[0]}
    return ModelConfig.from_dict({**common, **changes})


def translate(state: dict[str, Tensor], config: ModelConfig, source: Path) -> dict[str, Tensor]:
    """Published names -> ours. Unknown names are kept, so that loading reports them."""
    ours: dict[str, Tensor] = {}
    copies: dict[str, Tensor] = {}
    experts: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if _UNUSED.search(name):
            continue
        if name.startswith("pretrain_model."):
            inner = re.sub(r"^layers\.(\d)", r"layers_\1", name.removeprefix("pretrain_model."))
            ours[f"backbone.features.{inner}"] = tensor
        elif name.startswith("backbone_stages."):
            inner = name
            for pattern, replacement in _COPIES:
                inner = re.sub(f"^{pattern}", replacement, inner)
            copies[f"backbone.features.{inner}"] = tensor
        elif re.match(r"MOE\.experts\.\d+\.net\.[03]\.(weight|bias)$", name):
            experts[name] = tensor
        elif match := re.match(
            r"(bunch_decoder\.layers\.\d+\.)multihead_attn\.in_proj_(\w+)$", name
        ):
            layer = _layer(match[1])
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                ours[f"{layer}attention.{part}.{match[2]}"] = piece
        else:
            ours[_renamed(name)] = _as_linear(name, tensor)
    _check_copies(ours, copies, source)
    ours.update(_stacked(experts, config))
    return ours


def _layer(prefix: str) -> str:
    return prefix.replace("bunch_decoder.", "decoder.")


def _renamed(name: str) -> str:
    for pattern, replacement in (
        (r"^proj_layer3\.", "decoder.project."),
        (r"^proj_layer4\.", "decoder.guide."),
        (r"^bunch_embedding$", "decoder.queries"),
        (r"^norm3\.", "head.norm."),
        (r"^gamma$", "head.gamma"),
        (r"^fc\.", "head.score."),
        (r"^MOE\.router\.linear\.", "head.body.router."),
        (r"^MOE\.net\.0\.", "head.body.up."),
        (r"^MOE\.net\.2\.", "head.body.down."),
        (r"^bunch_decoder\.(layers\.\d+\.)multihead_attn\.out_proj\.", r"decoder.\1attention.out."),
        (r"^bunch_decoder\.(layers\.\d+\.)norm2\.", r"decoder.\1norm."),
    ):
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    if match := re.match(r"^bunch_decoder\.(layers\.\d+\.)GCN\.gcn([123])\.(weight|bias)$", name):
        plural = {"weight": "weights", "bias": "biases"}[match[3]]
        return f"decoder.{match[1]}mixer.{plural}.{int(match[2]) - 1}"
    return name


def _as_linear(name: str, tensor: Tensor) -> Tensor:
    """The tensor in our layout: a 1x1 convolution as a matrix, the router's weight ``(D, E)``."""
    if name == "proj_layer4.weight" and tensor.ndim == 4:
        return tensor.flatten(1)
    if name == "MOE.router.linear.weight":
        return tensor.T
    return tensor


def _check_copies(ours: dict[str, Tensor], copies: dict[str, Tensor], source: Path) -> None:
    for name, tensor in copies.items():
        if name not in ours or not torch.equal(ours[name], tensor):
            raise CheckpointError(
                f"{source}: the backbone is stored twice and the copies differ in {name}; "
                f"it is unknown which one was trained"
            )


def _stacked(experts: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """E separate experts -> our stacked tensors; an incomplete set keeps its published names."""
    names = {"up": "0.weight", "up_bias": "0.bias", "down": "3.weight", "down_bias": "3.bias"}
    result: dict[str, Tensor] = {}
    for ours, suffix in names.items():
        keys = [f"MOE.experts.{index}.net.{suffix}" for index in range(config.experts)]
        if not all(key in experts for key in keys):
            result.update({key: experts[key] for key in keys if key in experts})
            continue
        tensors = [experts[key] for key in keys]
        if len({tensor.shape for tensor in tensors}) > 1:
            result.update(zip(keys, tensors, strict=True))
            continue
        stacked = torch.stack(tensors)
        result[f"head.body.{ours}"] = stacked.mT if stacked.ndim == 3 else stacked
    return result
