"""Graph convolution among the query tokens, equations (4) to (6)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn


def fixed_adjacency(nodes: int) -> Tensor:
    """All-ones plus identity, symmetrically normalised, ``(N, N)``.

    Every node has the degree N + 1, so D^-1/2 (1 + I) D^-1/2 is a division by N + 1: 2 / (N + 1)
    on the diagonal, 1 / (N + 1) elsewhere.
    """
    return (torch.ones(nodes, nodes) + torch.eye(nodes)) / (nodes + 1)


class GraphConvolution(nn.Module):
    """Three graph convolutions ``A_i H W_i``, ReLU after the first two; ``(B, N, D)`` to the same.

    Args:
        nodes: number N of query tokens.
        dim: token width D.
        learned: the paper's form, with learned adjacency ``A_i`` and square ``W_i`` without bias;
            otherwise the published code's, with one fixed adjacency, widths D, D/2, D/4, D and a
            bias. The learned adjacency starts at the fixed one, as the paper gives no start.
    """

    def __init__(self, nodes: int, dim: int, *, learned: bool) -> None:
        super().__init__()
        widths = (dim, dim, dim, dim) if learned else (dim, dim // 2, dim // 4, dim)
        start = fixed_adjacency(nodes)
        if learned:
            self.adjacency = nn.Parameter(start.repeat(3, 1, 1))  # (3, N, N)
        else:
            self.register_buffer("adjacency", start.repeat(3, 1, 1), persistent=False)
        shapes = list(itertools.pairwise(widths))
        self.weights = nn.ParameterList(
            nn.init.xavier_uniform_(torch.empty(inputs, outputs)) for inputs, outputs in shapes
        )
        self.biases = nn.ParameterList(
            [] if learned else [torch.zeros(outputs) for _, outputs in shapes]
        )

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = tokens  # (B, N, D)
        for layer, weight in enumerate(self.weights):
            hidden = self.adjacency[layer] @ (hidden @ weight)  # (B, N, width)
            if len(self.biases):
                hidden = hidden + self.biases[layer]
            if layer < 2:
                hidden = hidden.relu()
        return hidden  # (B, N, D)
