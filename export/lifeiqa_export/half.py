"""A half-precision copy of a model: FP16 everywhere but where rounding would change decisions."""

from __future__ import annotations

import copy

from torch import nn

from lifeiqa.model.float16_weights import (
    exact_modules,
    normalised_convolutions,
    round_weights_to_fp16,
)
from lifeiqa.model.network import LifeIQA, ScoringModel


def to_half(model: ScoringModel) -> ScoringModel:
    """A copy whose network computes in float16, to be run or exported.

    Three parts stay in float32: the normalisation of the pixels, and the two of
    `lifeiqa.model.float16_weights.exact_modules`, the router from its input to its mask and the
    last product with the mean over tokens. All other weights are rounded as
    `round_weights_to_fp16` does, which changes nothing in a checkpoint that is rounded.
    """
    half = copy.deepcopy(model).eval()
    network = half.network
    round_weights_to_fp16(network)
    _drop_batch_norm(network)
    exact = [(module, copy.deepcopy(module.state_dict())) for module in exact_modules(network)]
    network.half()
    for module, state in exact:
        module.float().load_state_dict(state)  # the rounded weights give way to the exact ones
    return half


def _drop_batch_norm(network: LifeIQA) -> None:
    """Move the shift that settling left in a normalisation into its convolution's bias."""
    names = {module: name for name, module in network.named_modules()}
    for convolution, norm in normalised_convolutions(network):
        shift = norm.bias if convolution.bias is None else convolution.bias + norm.bias
        convolution.bias = nn.Parameter(shift.detach().clone())
        # timm's BatchNormAct2d is also the activation that follows.
        network.set_submodule(names[norm], getattr(norm, "act", nn.Identity()))
