"""A half-precision copy of a model: FP16 everywhere but where rounding would change decisions."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from lifeiqa.model.moe import Router
from lifeiqa.model.network import ScoringModel


def halve(model: ScoringModel) -> ScoringModel:
    """A copy whose network computes in float16, to be run or exported.

    Three parts stay in float32: the normalisation of the pixels, the router from its input to its
    mask, since a near-tie that rounds the other way changes the expert, and the last product with
    the mean over tokens, since a score of 0.6 has steps of 5e-4 in float16.

    Batch normalisation is folded into its convolution before anything is rounded, and kernels are
    rounded by `round_keeping_sums`.
    """
    half = copy.deepcopy(model).eval()
    fold_batch_norm(half)
    kept: list[nn.Module] = [module for module in half.modules() if isinstance(module, Router)]
    kept.append(half.network.head.score)
    exact = [copy.deepcopy(module.state_dict()) for module in kept]
    for module in half.network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = round_keeping_sums(module.weight.data)
    half.network.half()
    for module, state in zip(kept, exact, strict=True):
        module.float().load_state_dict(state)  # the rounded weights give way to the exact ones
    return half


def round_keeping_sums(weight: Tensor) -> Tensor:
    """Round ``(O, I, kh, kw)`` to float16 values so that each kernel keeps its sum.

    Neighbouring pixels are nearly equal, so the error of a rounded kernel is chiefly the error of
    its sum: on EfficientNet-Lite0, whose depthwise kernels hold large weights that cancel,
    rounding to nearest cost 3 times the drift of this. Weights are rounded from the largest to
    the smallest and each passes its error on to the next, so what is left at the end is less than
    a step of the smallest.

    Returns:
        A tensor of the type of ``weight`` whose values float16 holds exactly.
    """
    kernels = weight.flatten(2).double()  # (O, I, kh * kw)
    order = kernels.abs().argsort(-1, descending=True)
    rounded = kernels.gather(-1, order)
    error = torch.zeros_like(rounded[..., 0])
    for tap in range(rounded.shape[-1]):
        wanted = rounded[..., tap] + error
        rounded[..., tap] = wanted.half().double()
        error = wanted - rounded[..., tap]
    return torch.zeros_like(kernels).scatter(-1, order, rounded).view_as(weight).to(weight.dtype)


@torch.no_grad()
def fold_batch_norm(model: ScoringModel) -> None:
    """Fold each batch normalisation that follows a convolution into its weights, in place.

    Which one follows which is seen by sending a black crop through the network. In a float16
    network the four tensors of a normalisation would each be rounded on their own.
    """
    for convolution, name in _normalised_convolutions(model):
        norm: Any = model.get_submodule(name)
        convolution.weight, convolution.bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        # timm's BatchNormAct2d is also the activation that follows.
        model.set_submodule(name, getattr(norm, "act", nn.Identity()))


def _normalised_convolutions(model: ScoringModel) -> list[tuple[nn.Conv2d, str]]:
    """Convolutions of the backbone, each with the name of the normalisation of its output."""
    outputs: list[tuple[Tensor, nn.Conv2d]] = []
    pairs: list[tuple[nn.Conv2d, str]] = []
    handles = []

    def after_convolution(module: nn.Module, _: Any, output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        outputs.append((output, module))

    def before_norm(name: str, inputs: tuple[Tensor, ...]) -> None:
        # The tensors are held on to, so that no two of them share an identity.
        pairs.extend((convolution, name) for seen, convolution in outputs if seen is inputs[0])

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(after_convolution))
        elif isinstance(module, nn.BatchNorm2d):
            handles.append(
                module.register_forward_pre_hook(
                    lambda _, inputs, name=name: before_norm(name, inputs)
                )
            )
    size = model.network.config.crop_size
    model(torch.zeros(1, size, size, 3, dtype=torch.uint8))
    for handle in handles:
        handle.remove()
    return pairs
