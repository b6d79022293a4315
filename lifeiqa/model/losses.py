"""Training losses, equations (13) to (15), (27) and (28)."""

from __future__ import annotations

from torch import Tensor

from lifeiqa.model.moe import Routing

BALANCE_WEIGHT = 0.01
"""lambda_1 of equation (28)."""
Z_WEIGHT = 0.001
"""lambda_2 of equation (28)."""


def load_balance_loss(routing: Routing) -> Tensor:
    """Equations (13) and (14): ``L_aux = E sum_e t_e p_e``, a scalar that is K when balanced.

    ``p = softmax(g)`` over all experts and ``p_e`` its mean over tokens; ``t_e`` is the share of
    tokens that use expert e. Means run over every token of the batch.
    """
    experts = routing.logits.shape[-1]
    probability = routing.logits.softmax(-1).flatten(0, -2).mean(0)  # (E,)
    usage = routing.mask.to(probability.dtype).flatten(0, -2).mean(0)  # (E,)
    return experts * (usage * probability).sum()


def router_z_loss(routing: Routing) -> Tensor:
    """Equation (15): ``L_z = mean over tokens of (log sum_e exp g_e)^2``, a scalar."""
    return routing.logits.logsumexp(-1).square().mean()


def score_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Equation (27): mean absolute difference of ``(B,)`` scores."""
    return (predicted - target).abs().mean()


def total_loss(predicted: Tensor, target: Tensor, routing: Routing | None) -> Tensor:
    """Equation (28): ``L_main + 0.01 L_aux + 0.001 L_z``; the score alone where nothing routes."""
    loss = score_loss(predicted, target)
    if routing is None:
        return loss
    balance = BALANCE_WEIGHT * load_balance_loss(routing)
    return loss + balance + Z_WEIGHT * router_z_loss(routing)
