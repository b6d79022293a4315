"""What stays in float32, how kernels are rounded, and that folding changes nothing."""

import copy

import pytest
import torch
from torch import nn

from lifeiqa.model.moe import Router
from lifeiqa_export.dense import densify
from lifeiqa_export.half import fold_batch_norm, halve, round_keeping_sums
from tiny_network import random_crops, tiny_model


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = tiny_model()
    for module in model.modules():  # a trained network's statistics are not 0 and 1
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -1, 1)
    return densify(model)


def test_router_and_last_product_keep_their_exact_float32_weights(model):
    half = halve(model)
    exact = {name for name, tensor in half.state_dict().items() if tensor.dtype == torch.float32}
    assert exact == {
        "network.head.body.router.weight",
        "network.head.body.router.bias",
        "network.head.score.weight",
        "network.head.score.bias",
    }
    assert all(torch.equal(half.state_dict()[name], model.state_dict()[name]) for name in exact)
    assert isinstance(half.network.head.router, Router)


def test_halving_leaves_the_model_alone(model):
    before = copy.deepcopy(model.state_dict())
    halve(model)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_half_model_gives_float32_scores_near_the_exact_ones(model):
    crops = torch.from_numpy(random_crops(4, 112))
    with torch.inference_mode():
        exact, half = model(crops).score, halve(model)(crops).score
    assert half.dtype == torch.float32
    assert not torch.equal(exact, half)
    torch.testing.assert_close(half, exact, rtol=0, atol=2e-3)


def test_folding_removes_every_normalisation_and_changes_no_score(model):
    crops = torch.from_numpy(random_crops(4, 112))
    folded = copy.deepcopy(model)
    fold_batch_norm(folded)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    with torch.inference_mode():
        torch.testing.assert_close(folded(crops).score, model(crops).score, rtol=0, atol=1e-5)


def test_rounded_kernels_are_float16_and_keep_their_sum():
    torch.manual_seed(0)
    # Large weights that cancel, as in the depthwise kernels of EfficientNet-Lite.
    weight = torch.randn(64, 2, 3, 3) * 10
    weight -= weight.mean((2, 3), keepdim=True) - 0.01
    rounded = round_keeping_sums(weight)
    assert torch.equal(rounded.half().float(), rounded)
    error = (rounded - weight).double()
    nearest = (weight.half().float() - weight).double()
    assert error.sum((2, 3)).abs().max() < 0.1 * nearest.sum((2, 3)).abs().max()
    assert (
        error.abs() <= 2.0**-10 * weight.abs() + 2.0**-10 * weight.abs().amax((2, 3), True)
    ).all()


def test_a_kernel_of_one_weight_is_rounded_to_nearest():
    weight = torch.randn(8, 4, 1, 1)
    assert torch.equal(round_keeping_sums(weight), weight.half().float())
