"""Settling folds and rounds weights in place, and halving a settled network loses none."""

import copy

import pytest
import torch
from torch import nn

from helpers.tiny_network import tiny_model
from lifeiqa.model.float16_weights import (
    normalised_convolutions,
    round_keeping_sums,
    round_weights_to_fp16,
)


@pytest.fixture(params=["test_efficientnet", "test_resnet"])
def network(request):
    torch.manual_seed(0)
    network = tiny_model(backbone=request.param).network
    for module in network.modules():  # a trained network's statistics are not 0 and 1
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -1, 1)
    return network


def test_every_normalisation_finds_its_convolution(network):
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    pairs = normalised_convolutions(network)
    assert [norm for _, norm in pairs] == norms
    assert all(conv.out_channels == norm.num_features for conv, norm in pairs)


def test_a_settled_network_has_float16_weights_and_nearly_the_same_scores(network):
    images = torch.randn(4, 3, 112, 112)
    settled = copy.deepcopy(network)
    round_weights_to_fp16(settled)
    assert settled.state_dict().keys() == network.state_dict().keys()
    exact = ("head.body.router.", "head.score.")
    for name, parameter in settled.named_parameters():
        if name.startswith(exact):
            assert torch.equal(parameter, network.state_dict()[name])
        else:
            assert torch.equal(parameter.half().float(), parameter), name
    with torch.inference_mode():
        torch.testing.assert_close(settled(images).score, network(images).score, rtol=0, atol=2e-3)


def test_settling_twice_changes_nothing(network):
    round_weights_to_fp16(network)
    once = copy.deepcopy(network.state_dict())
    round_weights_to_fp16(network)
    assert all(torch.equal(tensor, once[name]) for name, tensor in network.state_dict().items())


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
    assert (error.abs() <= 2.0**-9 * weight.abs().amax((2, 3), keepdim=True)).all()


def test_a_kernel_of_one_weight_is_rounded_to_nearest():
    weight = torch.randn(8, 4, 1, 1)
    assert torch.equal(round_keeping_sums(weight), weight.half().float())
