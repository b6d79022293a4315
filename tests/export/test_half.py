"""What stays in float32 in a half-precision model, and that the original is left alone."""

import copy

import pytest
import torch
from torch import nn

from helpers.tiny_network import random_crops, tiny_model
from lifeiqa.model.float16_weights import round_weights_to_fp16
from lifeiqa.model.moe import Router
from lifeiqa_export.dense import densify
from lifeiqa_export.half import to_half

EXACT = {
    "network.head.body.router.weight",
    "network.head.body.router.bias",
    "network.head.score.weight",
    "network.head.score.bias",
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return densify(tiny_model())


def test_router_and_last_product_keep_their_exact_float32_weights(model):
    half = to_half(model)
    state = half.state_dict()
    assert {name for name, tensor in state.items() if tensor.dtype == torch.float32} == EXACT
    assert all(torch.equal(state[name], model.state_dict()[name]) for name in EXACT)
    assert isinstance(half.network.head.router, Router)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in half.modules())


def test_halving_leaves_the_model_alone(model):
    before = copy.deepcopy(model.state_dict())
    to_half(model)
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_half_model_gives_float32_scores_near_the_exact_ones(model):
    crops = torch.from_numpy(random_crops(4, 112))
    with torch.inference_mode():
        exact, half = model(crops).score, to_half(model)(crops).score
    assert half.dtype == torch.float32
    assert not torch.equal(exact, half)
    torch.testing.assert_close(half, exact, rtol=0, atol=2e-3)


def test_halving_a_settled_model_rounds_no_weight(model):
    round_weights_to_fp16(model.network)
    back = to_half(model).float()
    crops = torch.from_numpy(random_crops(4, 112))
    with torch.inference_mode():
        torch.testing.assert_close(back(crops).score, model(crops).score, rtol=0, atol=1e-6)
