"""Swin in a form that moves less data, for the one input size that an exported graph has.

timm's Swin pads and rolls the feature map, cuts it into windows and splits each window by head, and
undoes all of it after attention: a copy of the map for each step. For a known size these steps are
one known permutation. Here the tokens stay in raster order, as rows ``(B * L, C)``, through the
whole backbone, and each block has one Gather for each of query, key and value, straight into the
heads of its windows, and one Gather back. Linear layers on rows are single Gemm nodes with their
bias; relative position bias and shift mask are one constant; the scale is in the query's weights.

The last costs float16 nothing that can be seen. Weights not yet rounded are rounded once as before.
Those of a settled checkpoint are rounded a second time where the scale is no power of two: on
Swin-T the maps then drift by 3 % more where attention is sharp, and as much as before where not.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any, TypeVar

import torch
from timm.layers.patch_embed import PatchEmbed
from timm.models import FeatureListNet
from timm.models.swin_transformer import SwinTransformerStage, window_partition
from torch import Tensor, nn
from torch.nn import functional

from lifeiqa.model.backbone import Backbone

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def gather_windows(model: ModuleT) -> ModuleT:
    """A copy of a model, sharing its weights, whose Swin backbone is a `GatheredSwin`.

    Args:
        model: whatever holds a `Backbone`, for inference; it is left as it is.

    Returns:
        A new module of the same class, or ``model`` itself where no backbone of it is a Swin. All
        tensors are those of ``model`` but the projections to query, key and value, which hold the
        scale, and the constants made of the relative position biases.
    """
    if not any(_is_swin(module) for module in model.modules()):
        return model
    tensors = itertools.chain(model.parameters(), model.buffers())
    gathered = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    for module in gathered.modules():
        if isinstance(module, Backbone) and _is_swin(module.features):
            module.features = GatheredSwin(module.features)
    return gathered


def _is_swin(module: nn.Module) -> bool:
    """Whether a module is what timm makes of a Swin whose features alone are asked for."""
    if not isinstance(module, FeatureListNet):
        return False
    first, *rest = module.values()
    return type(first) is PatchEmbed and all(type(stage) is SwinTransformerStage for stage in rest)


class GatheredSwin(nn.Module):
    """timm's Swin with ``features_only``, equal to it in float32 up to the order of additions.

    Args:
        features: the network, of which everything but the windows is used as it is.
    """

    def __init__(self, features: Any) -> None:
        super().__init__()
        (_, self.patch_embed), *stages = features.items()
        self.stages = nn.ModuleList(_Stage(stage) for _, stage in stages)
        self._sizes: list[tuple[int, int] | None] = [  # of the maps that are asked for
            stage.output_resolution if name in features.return_layers else None
            for name, stage in stages
        ]

    def forward(self, images: Tensor) -> list[Tensor]:
        """``(B, 3, S, S)`` -> a map ``(B, H, W, C)`` for each stage asked for, by depth."""
        rows = self.patch_embed(images).flatten(0, 2)  # (B, H, W, C) -> (B * L, C)
        maps = []
        for stage, size in zip(self.stages, self._sizes, strict=True):
            rows = stage(rows)  # (B * L, C)
            if size is not None:
                maps.append(rows.view(-1, *size, rows.shape[1]))  # (B, H, W, C)
        return maps


class _Stage(nn.Module):
    """Patch merging, where a stage does not begin with the patches, and blocks."""

    def __init__(self, stage: Any) -> None:
        super().__init__()
        self.merging: nn.Module = stage.downsample
        if not isinstance(stage.downsample, nn.Identity):
            self.merging = _Merging(stage.downsample, stage.input_resolution)
        size = stage.output_resolution
        self.blocks = nn.Sequential(*(_Block(block, size) for block in stage.blocks))

    def forward(self, rows: Tensor) -> Tensor:
        rows = self.merging(rows)  # (B * 4L, C/2) -> (B * L, C)
        return self.blocks(rows)  # type: ignore[no-any-return]


class _Merging(nn.Module):
    """Patch merging: the four tokens of a square become the channels of one."""

    index: Tensor

    def __init__(self, merging: Any, size: tuple[int, int]) -> None:
        super().__init__()
        self.norm, self.reduction = merging.norm, merging.reduction
        self.length = size[0] * size[1]
        grid = _filled_up(_raster(size), (2, 2), self.length)  # (1, H, W, 1)
        self.padded = grid.numel() > self.length
        squares = grid.view(grid.shape[1] // 2, 2, grid.shape[2] // 2, 2)
        self.register_buffer("index", squares.permute(0, 2, 3, 1).flatten(), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        tokens = rows.view(-1, self.length, rows.shape[1])  # (B, L, C)
        if self.padded:
            tokens = _with_zero_token(tokens)  # (B, L + 1, C)
        squares = tokens.index_select(1, self.index).reshape(-1, 4 * rows.shape[1])  # (B * L/4, 4C)
        return self.reduction(self.norm(squares))  # type: ignore[no-any-return]  # (B * L/4, 2C)


class _Block(nn.Module):
    """A block: ``heads`` heads of ``d`` channels on ``W`` windows of ``A`` tokens, shifted or not.

    The index of a row of ``d`` channels is that of its token times the heads, and three times the
    heads before query, key and value are split, plus that of the head.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    back: Tensor
    bias: Tensor

    def __init__(self, block: Any, size: tuple[int, int]) -> None:
        super().__init__()
        attention = block.attn
        self.norm1, self.norm2, self.mlp = block.norm1, block.norm2, block.mlp
        self.qkv, self.proj = _scaled(attention), attention.proj
        self.length = size[0] * size[1]
        self.heads, self.area = attention.num_heads, block.window_area
        self.channels = self.proj.in_features // self.heads
        shifts = [-shift for shift in block.shift_size]
        grid = torch.roll(_raster(size), shifts, (1, 2))  # (1, H, W, 1)
        grid = _filled_up(grid, block.window_size, self.length)
        self.padded = grid.numel() > self.length
        token = window_partition(grid, block.window_size).view(-1, 1, self.area)  # (W, 1, A)
        head = torch.arange(self.heads, dtype=torch.int32).view(-1, 1)  # (heads, 1)
        for part, name in enumerate(("query", "key", "value")):
            index = (3 * token + part) * self.heads + head  # (W, heads, A)
            self.register_buffer(name, index.flatten(), persistent=False)
        order = (token * self.heads + head).flatten().argsort()  # tokens of padding come last
        self.register_buffer("back", order[: self.length * self.heads].int(), persistent=False)
        self.register_buffer("bias", _attention_bias(block), persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        rows = rows + self.proj(self._attend(self.norm1(rows)))
        return rows + self.mlp(self.norm2(rows))  # type: ignore[no-any-return]

    def _attend(self, rows: Tensor) -> Tensor:
        """``(B * L, C)`` -> ``(B * L, heads * d)``."""
        if self.padded:  # timm masks no padding: it is attended, with zeros as its features
            tokens = rows.view(-1, self.length, rows.shape[1])  # (B, L, C)
            rows = _with_zero_token(tokens).flatten(0, 1)  # (B * (L + 1), C)
        split = 3 * self.heads * (self.length + self.padded)
        parts: Tensor = self.qkv(rows).view(-1, split, self.channels)  # (B, L * 3 * heads, d)
        groups = self.bias.shape[1]  # heads, or W * heads where each window has its own mask
        query, key, value = (
            parts.index_select(1, index).view(-1, groups, self.area, self.channels)
            for index in (self.query, self.key, self.value)
        )  # each (..., groups, A, d)
        weights = (query @ key.transpose(-2, -1) + self.bias).softmax(-1)  # (..., groups, A, A)
        mixed = weights @ value  # (..., groups, A, d)
        mixed = mixed.view(-1, self.query.numel(), self.channels)  # (B, W * heads * A, d)
        merged = mixed.index_select(1, self.back)  # (B, L * heads, d)
        return merged.view(-1, self.heads * self.channels)  # (B * L, heads * d)


def _raster(size: tuple[int, int]) -> Tensor:
    """The index of each token of a map, ``(1, H, W, 1)``."""
    return torch.arange(size[0] * size[1], dtype=torch.int32).view(1, *size, 1)


def _filled_up(grid: Tensor, multiple: tuple[int, int], value: int) -> Tensor:
    """A map ``(1, H, W, 1)`` with rows and columns added until its sides are multiples."""
    height, width = (-side % step for side, step in zip(grid.shape[1:3], multiple, strict=True))
    return functional.pad(grid, (0, 0, 0, width, 0, height), value=value)


def _with_zero_token(tokens: Tensor) -> Tensor:
    """``(B, L, C)`` -> ``(B, L + 1, C)``: what an index of L then finds is padding."""
    return functional.pad(tokens, (0, 0, 0, 1))


@torch.no_grad()
def _scaled(attention: Any) -> nn.Linear:
    """The projection to query, key and value whose queries are scaled already."""
    qkv: nn.Linear = copy.deepcopy(attention.qkv)
    queries = qkv.out_features // 3
    qkv.weight[:queries] *= attention.scale
    if qkv.bias is not None:
        qkv.bias[:queries] *= attention.scale
    return qkv


@torch.no_grad()
def _attention_bias(block: Any) -> Tensor:
    """All that is added to the logits: ``(1, heads, A, A)``, shifted ``(1, W * heads, A, A)``."""
    attention, area = block.attn, block.window_area
    table: Tensor = attention.relative_position_bias_table  # (distances, heads)
    pairs = table[attention.relative_position_index.flatten()].view(area, area, -1)
    bias = pairs.permute(2, 0, 1)  # (A, A, heads) -> (heads, A, A)
    mask = block.get_attn_mask()  # (W, A, A)
    if mask is not None:
        bias = (bias + mask.unsqueeze(1)).flatten(0, 1)  # (W, heads, A, A) -> (W * heads, A, A)
    return bias.unsqueeze(0).contiguous()
