"""Training losses, equations (13) to (15) and (27), and others that a recipe may add.

Equation (28), their weighted sum, is `lifeiqa.training.objective`.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from lifeiqa.model.moe import Routing


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


def smooth_score_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """The published code's form of equation (27): quadratic below a difference of 1."""
    return F.smooth_l1_loss(predicted, target)


def ranking_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over the pairs of a batch of how far their difference falls short of the true one.

    With ``t`` the target and ``p`` the prediction, ``mean over t_i > t_j of
    max(0, (t_i - t_j) - (p_i - p_j))``: a pair in the right order and far enough apart costs
    nothing. 0 where all targets are equal.
    """
    wanted = target[:, None] - target[None, :]  # (B, B)
    given = predicted[:, None] - predicted[None, :]  # (B, B)
    pairs = wanted > 0
    shortfall = (wanted - given).relu() * pairs
    return shortfall.sum() / pairs.sum().clamp(min=1)


def correlation_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """``(1 - PLCC) / 2`` of ``(B,)`` scores, in 0..1; 1/2 where either side is constant."""
    x, y = predicted - predicted.mean(), target - target.mean()
    scale = (x.square().sum() * y.square().sum()).clamp(min=1e-12).sqrt()
    return (1 - (x * y).sum() / scale) / 2


def order_loss(better: Tensor, worse: Tensor, margin: float | Tensor = 0.02) -> Tensor:
    """Two strengths of one distortion, ``(T,)`` scores each: the worse one should score lower.

    ``mean max(0, margin - (better - worse))``, in units of the network's output, whose range of
    1 is that of the labels; higher is better. The margin may be one for each pair, ``(T,)``.
    """
    return (margin - (better - worse)).relu().mean()
