"""What a step minimises: equation (28), and what a recipe adds to it."""

from __future__ import annotations

from typing import NamedTuple

import torch
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
        inputs: normalised images ``(B + 2 T, 3, S, S)``, or cached features of as many crops. The
            better distorted copies of T crops follow the B undistorted ones, then the worse ones.
        targets: ``(B,)`` scores of the undistorted images in units of the network's output.
        copies: ``(2 T,)`` scores that the severity of the distortion leaves; NaN where it is
            unknown. None stands for no copies.
    """

    inputs: Tensor | Features
    targets: Tensor
    copies: Tensor | None = None


UNKNOWN_GAP = 0.02
"""How far apart two strengths of a distortion of unknown severity are to stand, of a range of 1."""
_MAIN = {"l1": score_loss, "smooth_l1": smooth_score_loss}


def total_loss(
    prediction: Prediction,
    targets: Tensor,
    recipe: Recipe,
    *,
    copies: Tensor | None = None,
    higher_is_better: bool = True,
) -> Tensor:
    """``L_main + 0.01 L_aux + 0.001 L_z`` with the recipe's weights and additions, a scalar.

    Args:
        prediction: for every crop of a `Batch`.
        targets: of the batch.
        recipe: names the losses and their weights.
        copies: of the batch.
        higher_is_better: the direction of the scores, for the order of distorted copies.
    """
    scored = prediction.score[: len(targets)]
    loss = _MAIN[recipe.loss](scored, targets)
    if recipe.rank:
        loss = loss + recipe.rank * ranking_loss(scored, targets)
    if recipe.correlation:
        loss = loss + recipe.correlation * correlation_loss(scored, targets)
    if copies is not None and len(copies):
        loss = loss + _of_copies(prediction.score[len(targets) :], copies, recipe, higher_is_better)
    if prediction.routing is not None:
        loss = loss + recipe.balance * load_balance_loss(prediction.routing)
        loss = loss + recipe.z * router_z_loss(prediction.routing)
    return loss


def _of_copies(given: Tensor, wanted: Tensor, recipe: Recipe, higher_is_better: bool) -> Tensor:
    """The severity of distorted copies, ``(2 T,)`` scores each, and the order of each pair.

    A pair is to stand as far apart as its targets do; where they are unknown, by `UNKNOWN_GAP`.
    """
    # What is unknown wants what it has: it adds nothing and moves nothing, and no GPU waits.
    filled = torch.where(wanted.isnan(), given.detach(), wanted)
    loss = recipe.severity * _MAIN[recipe.loss](given, filled)
    sign = 1.0 if higher_is_better else -1.0
    better, worse = (sign * given).chunk(2)
    gap = torch.sub(*(sign * wanted).chunk(2)).nan_to_num(UNKNOWN_GAP)
    return loss + recipe.sense * order_loss(better, worse, gap.clamp(min=0))
