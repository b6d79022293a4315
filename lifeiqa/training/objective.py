"""What a step minimises: equation (28), and what a recipe adds to it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from lifeiqa.model.losses import (
    correlation_loss,
    load_balance_loss,
    order_loss,
    ranking_loss,
    router_z_loss,
    score_loss,
    smooth_score_loss,
)
from lifeiqa.model.network import Features, Prediction
from lifeiqa.training.recipe import Recipe


class Batch(NamedTuple):
    """What a step sees.

    Attributes:
        inputs: normalised images ``(B + 2 T, 3, S, S)``, or cached features of B crops. T crops
            follow the B that have human scores, then the same T under a stronger distortion.
        targets: ``(B,)`` human scores in units of the network's output.
    """

    inputs: Tensor | Features
    targets: Tensor


_MAIN = {"l1": score_loss, "smooth_l1": smooth_score_loss}


def total_loss(
    prediction: Prediction, targets: Tensor, recipe: Recipe, *, higher_is_better: bool = True
) -> Tensor:
    """``L_main + 0.01 L_aux + 0.001 L_z`` with the recipe's weights and additions, a scalar.

    Args:
        prediction: for every crop of a `Batch`.
        targets: ``(B,)`` human scores.
        recipe: names the losses and their weights.
        higher_is_better: the direction of the scores, for the order of distorted twins.
    """
    scored = prediction.score[: len(targets)]
    loss = _MAIN[recipe.loss](scored, targets)
    if recipe.rank:
        loss = loss + recipe.rank * ranking_loss(scored, targets)
    if recipe.correlation:
        loss = loss + recipe.correlation * correlation_loss(scored, targets)
    twins = prediction.score[len(targets) :]
    if len(twins):
        milder, stronger = twins.chunk(2) if higher_is_better else twins.chunk(2)[::-1]
        loss = loss + recipe.sense * order_loss(milder, stronger)
    if prediction.routing is not None:
        loss = loss + recipe.balance * load_balance_loss(prediction.routing)
        loss = loss + recipe.z * router_z_loss(prediction.routing)
    return loss
