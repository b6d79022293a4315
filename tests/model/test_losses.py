"""The losses that a recipe may add, against plain loops, and where they have nothing to go by."""

import math

import pytest
import torch

from lifeiqa.model.losses import (
    correlation_loss,
    load_balance_loss,
    order_loss,
    ranking_loss,
    router_z_loss,
    score_loss,
    smooth_score_loss,
)
from lifeiqa.model.moe import Routing, top_k_mask

ON_SCORES = [score_loss, smooth_score_loss, ranking_loss, correlation_loss]


def drawn(count, seed=0):
    """Predictions and targets of a batch, ties among the targets included."""
    generator = torch.Generator().manual_seed(seed)
    predicted = torch.randn(count, generator=generator)
    return predicted, torch.randint(0, 4, (count,), generator=generator) / 2


def gradient(loss, predicted, *others):
    predicted = predicted.clone().requires_grad_()
    loss(predicted, *others).backward()
    return predicted.grad


@pytest.mark.parametrize("seed", range(3))
def test_the_smooth_loss_is_quadratic_below_a_difference_of_1(seed):
    predicted, target = drawn(9, seed)

    plain = []
    for p, t in zip(predicted.tolist(), target.tolist(), strict=True):
        difference = abs(p - t)
        plain.append(difference**2 / 2 if difference < 1 else difference - 0.5)

    assert smooth_score_loss(predicted, target).item() == pytest.approx(sum(plain) / 9, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_the_ranking_loss_is_the_mean_shortfall_of_ordered_pairs(seed):
    predicted, target = drawn(9, seed)
    p, t = predicted.tolist(), target.tolist()

    shortfalls = [
        max(0.0, (t[i] - t[j]) - (p[i] - p[j])) for i in range(9) for j in range(9) if t[i] > t[j]
    ]

    plain = sum(shortfalls) / len(shortfalls)
    assert ranking_loss(predicted, target).item() == pytest.approx(plain, rel=1e-5)


def test_pairs_in_order_and_far_enough_apart_cost_nothing():
    target = torch.tensor([0.1, 0.9, 0.4])

    assert ranking_loss(target, target) == 0
    assert ranking_loss(3 * target + 5, target) == 0
    assert ranking_loss(0.5 * target, target) > 0
    assert ranking_loss(-target, target) > ranking_loss(0.5 * target, target)


@pytest.mark.parametrize("count", [1, 4])
def test_equal_targets_cannot_be_ranked(count):
    predicted, _ = drawn(count)

    assert ranking_loss(predicted, torch.full((count,), 0.3)) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_correlation_loss_is_half_of_1_minus_plcc(seed):
    predicted, target = drawn(9, seed)
    p, t = predicted.tolist(), target.tolist()

    mean_p, mean_t = sum(p) / 9, sum(t) / 9
    covariance = sum((a - mean_p) * (b - mean_t) for a, b in zip(p, t, strict=True))
    spread_p, spread_t = sum((a - mean_p) ** 2 for a in p), sum((b - mean_t) ** 2 for b in t)
    plain = (1 - covariance / math.sqrt(spread_p * spread_t)) / 2

    assert correlation_loss(predicted, target).item() == pytest.approx(plain, abs=1e-6)


def test_the_correlation_loss_runs_from_0_to_1_whatever_the_scale():
    target = torch.tensor([0.1, 0.9, 0.4, 0.2])

    assert correlation_loss(100 * target - 7, target).item() == pytest.approx(0, abs=1e-6)
    assert correlation_loss(2 - 0.01 * target, target).item() == pytest.approx(1, abs=1e-6)


def test_what_is_constant_correlates_with_nothing():
    varied, constant = torch.tensor([0.25, 1.0, 0.5, 0.75]), torch.full((4,), 0.5)

    assert correlation_loss(constant, varied) == 0.5
    assert correlation_loss(varied, constant) == 0.5
    assert correlation_loss(constant, constant) == 0.5


@pytest.mark.parametrize("loss", ON_SCORES)
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("constant", ["predictions", "targets", "both", "equal"])
def test_gradients_are_finite_where_nothing_differs(loss, count, constant):
    predicted, target = drawn(count)
    if constant in ("predictions", "both"):
        predicted = torch.full((count,), 0.3)
    if constant in ("targets", "both"):
        target = torch.full((count,), 0.3)
    if constant == "equal":
        predicted = target

    assert gradient(loss, predicted, target).isfinite().all()


@pytest.mark.parametrize("loss", ON_SCORES)
def test_a_step_along_the_gradient_lowers_the_loss(loss):
    predicted, target = drawn(9)

    stepped = predicted - 1e-2 * gradient(loss, predicted, target)

    assert loss(stepped, target) < loss(predicted, target)


@pytest.mark.parametrize("margin", [0.02, 0.5])
def test_the_order_loss_is_what_is_missing_from_the_margin(margin):
    milder, stronger = drawn(9)[0], drawn(9, seed=1)[0]

    plain = [
        max(0.0, margin - (m - s)) for m, s in zip(milder.tolist(), stronger.tolist(), strict=True)
    ]

    assert 0 in plain
    assert max(plain) > margin
    assert order_loss(milder, stronger, margin).item() == pytest.approx(sum(plain) / 9, rel=1e-5)


def test_the_stronger_distortion_is_to_score_lower():
    better, worse = torch.tensor([0.8, 0.7]), torch.tensor([0.3, 0.6])

    assert order_loss(better, worse) == 0
    assert order_loss(worse, better) > 0
    assert order_loss(better, better).item() == pytest.approx(0.02)
    assert (gradient(order_loss, worse, better) < 0).all()


@pytest.mark.parametrize("loss", [load_balance_loss, router_z_loss])
def test_routing_losses_teach_the_router_even_from_equal_logits(loss):
    for logits in (torch.zeros(2, 3, 4), drawn(24)[0].view(2, 3, 4)):
        logits = logits.clone().requires_grad_()
        loss(Routing(torch.zeros(2, 3, 8), logits, top_k_mask(logits, 2))).backward()

        assert logits.grad.isfinite().all()
        assert logits.grad.any()


def test_a_collapsed_router_is_less_balanced_than_an_even_one():
    even, collapsed = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    collapsed[..., 0] = 20.0
    masks = [torch.eye(4, dtype=torch.bool).unsqueeze(0), top_k_mask(collapsed, 1)]

    balanced, unbalanced = (
        load_balance_loss(Routing(torch.zeros(1, 4, 8), logits, mask)).item()
        for logits, mask in zip((even, collapsed), masks, strict=True)
    )

    assert balanced == pytest.approx(1)
    assert unbalanced == pytest.approx(4)
