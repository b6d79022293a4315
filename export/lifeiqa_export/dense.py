"""The expert head as dense masked operations, so that a graph compiler can take it.

The reference computes the chosen experts alone, which needs TopK, NonZero and Scatter: shapes that
depend on the data. Here every expert runs on every token and the router's softmax, exactly 0 for
an expert that was not chosen, weighs the results.
"""

from __future__ import annotations

import copy
import itertools
from typing import TypeVar

import torch
from torch import Tensor, nn

from lifeiqa.model.moe import MixtureOfExperts, Routing, ScoreHead, routing_weights

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def densify(model: ModuleT) -> ModuleT:
    """A copy of a model, sharing its weights, whose expert head is dense.

    Args:
        model: a `LifeIQA` or whatever holds one; it is left as it is.

    Returns:
        A new module of the same class. Its tensors are those of ``model``, not copies of them.
    """
    tensors = itertools.chain(model.parameters(), model.buffers())
    dense = copy.deepcopy(model, {id(tensor): tensor for tensor in tensors})
    for module in dense.modules():
        if isinstance(module, ScoreHead) and isinstance(module.body, MixtureOfExperts):
            module.body = DenseMixtureOfExperts(module.body)
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]  # timm's fused attention is one opaque call to the exporter
    return dense


def dense_top_k_mask(logits: Tensor, k: int) -> Tensor:
    """Equation (8) by comparison alone: an expert is kept when fewer than k others beat it.

    ``beats(j, e) = g_j > g_e or (g_j == g_e and j < e)``, so a tie goes to the lower index as in
    `lifeiqa.model.moe.top_k_mask`. ``(..., E)`` logits give ``(..., E)`` bool.
    """
    experts = logits.shape[-1]
    others, own = logits.unsqueeze(-2), logits.unsqueeze(-1)  # (..., 1, E), (..., E, 1)
    index = torch.arange(experts, device=logits.device)
    lower = index.unsqueeze(0) < index.unsqueeze(1)  # (E, E): j < e
    beats = (others > own) | ((others == own) & lower)  # (..., E, E): e down, j across
    return beats.to(logits.dtype).sum(-1) < k


class DenseMixtureOfExperts(nn.Module):
    """`MixtureOfExperts` as batched matrix products over all experts, for inference."""

    def __init__(self, sparse: MixtureOfExperts) -> None:
        super().__init__()
        self.top_k = sparse.top_k
        self.router = sparse.router
        self.up, self.up_bias = sparse.up, sparse.up_bias
        self.down, self.down_bias = sparse.down, sparse.down_bias

    def forward(self, tokens: Tensor) -> tuple[Tensor, Routing]:
        inputs = tokens.float()
        logits = self.router(inputs)  # (B, N, E)
        mask = dense_top_k_mask(logits, self.top_k)  # (B, N, E)
        weights = routing_weights(logits, mask).to(tokens.dtype)  # (B, N, E)
        flat = tokens.flatten(0, 1).unsqueeze(0)  # (1, B * N, D)
        hidden = (flat @ self.up + self.up_bias.unsqueeze(1)).relu()  # (E, B * N, H)
        outputs = hidden @ self.down + self.down_bias.unsqueeze(1)  # (E, B * N, D)
        by_expert = weights.flatten(0, 1).T.unsqueeze(-1)  # (E, B * N, 1)
        mixed = (by_expert * outputs).sum(0)  # (B * N, D)
        return mixed.view_as(tokens), Routing(inputs, logits, mask)
