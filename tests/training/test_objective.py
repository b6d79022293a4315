"""What a step minimises: equation 28, and what each setting of a recipe adds to it."""

import dataclasses

import pytest
import torch

from lifeiqa.model.losses import (
    correlation_loss,
    load_balance_loss,
    ranking_loss,
    router_z_loss,
    score_loss,
    smooth_score_loss,
)
from lifeiqa.model.moe import Routing, top_k_mask
from lifeiqa.model.network import Prediction
from lifeiqa.training.objective import UNKNOWN_GAP, total_loss
from lifeiqa.training.recipe import Phase, Recipe

RECIPE = Recipe(phases=(Phase(name="joint", epochs=1, lr=1e-3),))
TARGETS = torch.tensor([0.5, 0.8, 0.1])
SCORES = torch.tensor([0.2, 0.9, 0.3])
COPIES = torch.tensor([0.6, 0.4, 0.5, 0.7])
"""Scores of the better copies of two crops, then of the worse ones."""
WANTED = torch.tensor([0.5, 0.45, 0.3, 0.1])
"""What their severity leaves."""
UNKNOWN = torch.tensor([0.5, torch.nan, 0.3, torch.nan])


def prediction(scores, *, experts=True):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(len(scores), 2, 4, generator=generator)
    routing = Routing(torch.zeros(len(scores), 2, 8), logits, top_k_mask(logits, 2))
    return Prediction(scores, scores.unsqueeze(1), routing if experts else None)


def loss_of(scores=SCORES, copies=None, *, experts=False, higher_is_better=True, **changes):
    recipe = dataclasses.replace(RECIPE, **changes)
    given = prediction(scores, experts=experts)
    return total_loss(
        given, TARGETS, recipe, copies=copies, higher_is_better=higher_is_better
    ).item()


def test_equation_28_total_loss():
    routing = prediction(SCORES).routing

    main = (0.3 + 0.1 + 0.2) / 3
    balance, z = load_balance_loss(routing).item(), router_z_loss(routing).item()

    assert loss_of(experts=True) == pytest.approx(main + 0.01 * balance + 0.001 * z)
    assert loss_of(experts=True, balance=0.5, z=0.25) == pytest.approx(
        main + 0.5 * balance + 0.25 * z
    )


def test_without_experts_the_score_alone_counts():
    assert loss_of(balance=7.0, z=7.0) == pytest.approx(score_loss(SCORES, TARGETS).item())


def test_the_published_loss_takes_the_place_of_the_papers():
    smooth = smooth_score_loss(SCORES, TARGETS).item()

    assert smooth == pytest.approx((0.3**2 + 0.1**2 + 0.2**2) / 6)
    assert loss_of(loss="smooth_l1") == pytest.approx(smooth)


@pytest.mark.parametrize(
    ("name", "addition"), [("rank", ranking_loss), ("correlation", correlation_loss)]
)
def test_an_addition_counts_with_its_weight(name, addition):
    added = addition(SCORES, TARGETS).item()

    assert added > 0.01
    assert loss_of(**{name: 0.5}) == pytest.approx(loss_of() + 0.5 * added)


def test_additions_add_up():
    both = loss_of(rank=0.5, correlation=0.25) - loss_of()

    assert both == pytest.approx(loss_of(rank=0.5) + loss_of(correlation=0.25) - 2 * loss_of())


def test_copies_learn_their_severity_and_their_order():
    scores = torch.cat([SCORES, COPIES])

    severity = (0.1 + 0.05 + 0.2 + 0.6) / 4
    # The first pair is 0.1 apart and is to be 0.2; the second is -0.3 apart and is to be 0.35.
    order = (0.1 + 0.65) / 2

    assert loss_of(scores, WANTED, sense=0.0) == pytest.approx(loss_of() + severity)
    assert loss_of(scores, WANTED, severity=0.0, sense=2.0) == pytest.approx(loss_of() + 2 * order)
    assert loss_of(scores, WANTED, severity=0.5, sense=0.25, rank=1.0) == pytest.approx(
        loss_of(rank=1.0) + 0.5 * severity + 0.25 * order
    )


def test_copies_of_unknown_severity_learn_their_order_alone():
    scores = torch.cat([SCORES, COPIES])

    assert loss_of(scores, UNKNOWN, sense=0.0) == pytest.approx(loss_of() + (0.1 + 0.2) / 4)
    assert loss_of(scores, UNKNOWN, severity=0.0) == pytest.approx(
        loss_of() + (0.1 + UNKNOWN_GAP + 0.3) / 2
    )
    nothing = torch.full((4,), torch.nan)
    assert loss_of(scores, nothing, sense=0.0) == pytest.approx(loss_of())


def test_where_lower_is_better_the_worse_copy_is_to_score_higher():
    turned = loss_of(1 - torch.cat([SCORES, COPIES]), 1 - WANTED, higher_is_better=False)
    plain = loss_of(torch.cat([SCORES, COPIES]), WANTED)

    main = score_loss(1 - SCORES, TARGETS).item()
    assert turned - main == pytest.approx(plain - loss_of())


def test_gradients_reach_every_score_and_the_router():
    scores = torch.cat([SCORES, COPIES]).requires_grad_()
    given = prediction(scores)
    given.routing.logits.requires_grad_()
    recipe = dataclasses.replace(RECIPE, sense=0.7, rank=1.0, correlation=1.0)

    total_loss(given, TARGETS, recipe, copies=UNKNOWN).backward()

    assert scores.grad.isfinite().all()
    assert scores.grad.ne(0).all()
    # Of unknown severity and in the wrong order: the better is to rise, the worse to fall.
    assert scores.grad[4] < 0 < scores.grad[6]
    assert given.routing.logits.grad.any()
