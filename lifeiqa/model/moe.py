"""Feature decoupling by a mixture of experts, equations (7) to (12), and the score that follows."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lifeiqa.config import ModelConfig


class Routing(NamedTuple):
    """The router's inputs and decisions, for the losses, parity and `lifeiqa explain`.

    Attributes:
        inputs: ``(B, N, D)`` router input, float32.
        logits: ``(B, N, E)`` affinities g of equation (7), float32.
        mask: ``(B, N, E)`` experts that each token uses, equation (8), bool.
    """

    inputs: Tensor
    logits: Tensor
    mask: Tensor


class Router(nn.Module):
    """Token-expert affinities ``g = x W_g + b_g``, equation (7), always in float32.

    A near-tie that rounds the other way changes the expert of a token, and with it the score. So
    this product stays in float32 under autocast and in a half-precision network.
    """

    def __init__(self, dim: int, experts: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, experts))
        self.bias = nn.Parameter(torch.zeros(experts))
        nn.init.xavier_uniform_(self.weight)

    @torch.no_grad()
    def sharpen(self, factor: float) -> None:
        """Multiply every logit by a positive factor: same experts, sharper weights."""
        self.weight.mul_(factor)
        self.bias.mul_(factor)

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, enabled=False):
            return inputs.float() @ self.weight.float() + self.bias.float()  # (B, N, E)


def top_k_mask(logits: Tensor, k: int) -> Tensor:
    """Equation (8): True for the k largest of ``(..., E)``; a tie goes to the lower index."""
    order = logits.argsort(dim=-1, descending=True, stable=True)[..., :k]
    return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, True)


def routing_weights(logits: Tensor, mask: Tensor) -> Tensor:
    """Equations (11) and (12): softmax over the chosen experts, exactly 0 for the others."""
    return logits.masked_fill(~mask, -torch.inf).softmax(-1)


class MixtureOfExperts(nn.Module):
    """E expert networks; each token uses K of them, and only those are computed.

    An expert is ``Linear(D, H) -> ReLU -> Dropout -> Linear(H, D)``. Experts are stored stacked,
    so that dense execution as batched products shares these very tensors.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.top_k = config.top_k
        self.dropout = config.dropout
        experts, dim, hidden = config.experts, config.dim, config.hidden
        self.router = Router(dim, experts)
        self.up = nn.Parameter(torch.empty(experts, dim, hidden))
        self.up_bias = nn.Parameter(torch.zeros(experts, hidden))
        self.down = nn.Parameter(torch.empty(experts, hidden, dim))
        self.down_bias = nn.Parameter(torch.zeros(experts, dim))
        for expert in range(experts):
            nn.init.xavier_uniform_(self.up[expert])
            nn.init.xavier_uniform_(self.down[expert])

    def expert(self, index: int, tokens: Tensor) -> Tensor:
        """Expert ``index`` on ``(T, D)`` tokens."""
        hidden = torch.addmm(self.up_bias[index], tokens, self.up[index]).relu()  # (T, H)
        hidden = F.dropout(hidden, self.dropout, self.training)
        return torch.addmm(self.down_bias[index], hidden, self.down[index])  # (T, D)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Routing]:
        logits = self.router(tokens)  # (B, N, E)
        mask = top_k_mask(logits, self.top_k)  # (B, N, E)
        weights = routing_weights(logits, mask).flatten(0, 1)  # (B * N, E)
        flat = tokens.flatten(0, 1)  # (B * N, D)
        chosen = mask.flatten(0, 1)
        mixed = torch.zeros_like(flat)
        for index in range(logits.shape[-1]):
            rows = chosen[:, index].nonzero().squeeze(1)  # (T,)
            output = self.expert(index, flat[rows])  # (T, D)
            weighted = weights[rows, index].unsqueeze(1) * output
            mixed = mixed.index_add(0, rows, weighted.to(mixed.dtype))
        return mixed.view_as(tokens), Routing(tokens.float(), logits, mask)


class FeedForward(nn.Module):
    """One ``Linear -> GELU -> Dropout -> Linear`` in place of the experts (Table IV)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.up = nn.Linear(config.dim, config.ffn_hidden)
        self.down = nn.Linear(config.ffn_hidden, config.dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor) -> tuple[Tensor, None]:
        return self.down(self.dropout(F.gelu(self.up(tokens)))), None


class ScoreHead(nn.Module):
    """Fused tokens ``(B, N, D)`` -> one score a token ``(B, N)``.

    With the bypass of equation (16): ``Y(x) + gamma x`` in the paper, ``x + gamma Y(x)`` in the
    published code, where x has passed its LayerNorm.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.paper = config.variant == "paper"
        self.norm = nn.LayerNorm(config.dim)
        self.body: nn.Module | None = None
        if config.head != "none":
            self.body = MixtureOfExperts(config) if config.head == "moe" else FeedForward(config)
            # The published code starts at 0.1; the paper gives no start.
            self.gamma = nn.Parameter(torch.tensor(0.1))
        self.dropout = nn.Dropout(config.dropout)
        self.score = nn.Linear(config.dim, 1)

    @property
    def router(self) -> Router | None:
        """The router of the experts, sparse or dense; None for a head without experts."""
        return getattr(self.body, "router", None)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Routing | None]:
        tokens = self.norm(tokens)
        routing = None
        if self.body is not None:
            mixed, routing = self.body(tokens)
            bypass = mixed + self.gamma * tokens if self.paper else tokens + self.gamma * mixed
            tokens = bypass
        # In a half-precision network this last product alone stays in float32, like the router.
        tokens = self.dropout(tokens).to(self.score.weight.dtype)
        return self.score(tokens).squeeze(-1), routing  # (B, N)
