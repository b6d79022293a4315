"""Layer interaction: queries guided by the deepest stage attend to the stage before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lifeiqa.config import ModelConfig
from lifeiqa.errors import ConfigError
from lifeiqa.model.gcn import GraphConvolution


def partition_matrix(cells: int, size: int) -> Tensor:
    """``(cells, size)``: row i averages the samples of cell i of a partition of ``size`` samples.

    Cells do not overlap and differ by at most one sample; cell i begins at floor(i size / cells).
    """
    matrix = torch.zeros(cells, size)
    for cell in range(cells):
        start, stop = cell * size // cells, (cell + 1) * size // cells
        matrix[cell, start:stop] = 1 / (stop - start)
    return matrix


class PartitionPool(nn.Module):
    """Partition average pooling of a feature map to ``grid x grid`` tokens.

    The mean over a rectangle is separable, so the pooling is two products with constant matrices.
    That form has uneven cells without slicing the map cell by cell, and exports as two MatMul.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, grid: int, height: int, width: int) -> None:
        super().__init__()
        if grid > min(height, width):
            raise ConfigError(
                f"grid {grid} exceeds the attended feature map of {height}x{width}: "
                f"a cell would be empty. Choose a grid of at most {min(height, width)}"
            )
        self.register_buffer("rows", partition_matrix(grid, height), persistent=False)
        self.register_buffer("columns", partition_matrix(grid, width).T, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        cells = self.rows @ features @ self.columns  # (B, C, H, W) -> (B, C, grid, grid)
        return cells.flatten(2).transpose(1, 2)  # (B, grid * grid, C)


class Attention(nn.Module):
    """Multi-head scaled dot-product attention, equation (2), with linear projections (3).

    ``(B, N, D)`` queries over ``(B, M, D)`` memory give ``(B, N, D)``.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        for linear in (self.query, self.key, self.value, self.out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def weights(self, tokens: Tensor, memory: Tensor) -> Tensor:
        """``(B, heads, N, M)``: how each query spreads over the memory; sums to 1 over M."""
        query = self._split(self.query(tokens))  # (B, heads, N, D / heads)
        key = self._split(self.key(memory))  # (B, heads, M, D / heads)
        scale = query.shape[-1] ** -0.5
        weights: Tensor = ((query * scale) @ key.transpose(-1, -2)).softmax(-1)
        return weights  # (B, heads, N, M)

    def forward(self, tokens: Tensor, memory: Tensor) -> Tensor:
        weights = self.weights(tokens, memory)  # (B, heads, N, M)
        value = self._split(self.value(memory))  # (B, heads, M, D / heads)
        mixed: Tensor = self.out((weights @ value).transpose(1, 2).flatten(2))
        return mixed  # (B, N, D)

    def _split(self, projected: Tensor) -> Tensor:
        batch, tokens, dim = projected.shape
        return projected.view(batch, tokens, self.heads, dim // self.heads).transpose(1, 2)


class SelfAttention(nn.Module):
    """The vanilla decoder's exchange among queries, in place of the graph (Table IV)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.norm(tokens)
        mixed: Tensor = self.attention(tokens, tokens)
        return mixed


class DecoderLayer(nn.Module):
    """``x = x + Mixer(x)``, then ``x = x + CrossAttention(LayerNorm(x), S)``."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.mixer: nn.Module | None = None
        if config.mixer == "gcn":
            learned = config.variant == "paper"
            self.mixer = GraphConvolution(config.queries, config.dim, learned=learned)
        elif config.mixer == "attention":
            self.mixer = SelfAttention(config.dim, config.heads)
        self.norm: nn.LayerNorm | None = None
        self.attention: Attention | None = None
        if config.memory_stage is not None:
            self.norm = nn.LayerNorm(config.dim)
            self.attention = Attention(config.dim, config.heads)

    def forward(self, tokens: Tensor, memory: Tensor | None) -> Tensor:
        if self.mixer is not None:
            tokens = tokens + self.mixer(tokens)  # (B, N, D)
        if self.norm is not None and self.attention is not None and memory is not None:
            tokens = tokens + self.attention(self.norm(tokens), memory)  # (B, N, D)
        return tokens


class Decoder(nn.Module):
    """Pooled features of two stages -> N fused query tokens.

    Args:
        config: dimensions, mixer and depth.
        query_channels: channels of the query stage.
        memory_channels: channels of the attended stage; None without cross-attention.
    """

    def __init__(
        self, config: ModelConfig, query_channels: int, memory_channels: int | None
    ) -> None:
        super().__init__()
        self.guide = nn.Linear(query_channels, config.dim)
        self.queries = nn.Parameter(torch.empty(1, config.queries, config.dim))
        nn.init.trunc_normal_(self.queries, std=0.02)
        self.project: nn.Linear | None = None
        if memory_channels is not None:
            self.project = nn.Linear(memory_channels, config.dim)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.depth))

    def forward(self, query: Tensor, memory: Tensor | None) -> Tensor:
        # Equation (1). A 1x1 convolution is linear, so it may follow the global average.
        tokens: Tensor = self.guide(query).unsqueeze(1) + self.queries  # (B, C) -> (B, N, D)
        if self.project is not None and memory is not None:
            memory = self.project(memory)  # (B, M, C) -> (B, M, D)
        for layer in self.layers:
            tokens = layer(tokens, memory)
        return tokens  # (B, N, D)
