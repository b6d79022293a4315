"""Round weights to values that float16 holds exactly.

The rounded checkpoint has the same tensors as before. Its float32 form and its float16 form then
hold the same weights, so that only the arithmetic differs between the two.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lifeiqa.model.moe import Router
from lifeiqa.model.network import LifeIQA


@torch.no_grad()
def round_weights_to_fp16(network: LifeIQA) -> None:
    """Round every weight to a float16 value, in place, after folding batch normalisation.

    Convolution kernels are rounded by `round_keeping_sums`, all other weights to the nearest
    value. Modules that stay in float32 in a half-precision network, see `exact_modules`, are not
    changed. A batch normalisation after a convolution keeps only its shift: its scale becomes 1
    and its statistics 0 and 1. Folded later, its four tensors would be rounded as one product
    that float16 does not hold.
    """
    for convolution, norm in normalised_convolutions(network):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - norm.running_mean * scale
        if convolution.bias is not None:
            shift = shift + convolution.bias * scale
            convolution.bias.zero_()
        convolution.weight.mul_(scale.view(-1, 1, 1, 1))
        norm.weight.fill_(1)
        norm.bias.copy_(shift)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
    exact = {id(p) for module in exact_modules(network) for p in module.parameters()}
    kernels = {id(m.weight) for m in network.modules() if isinstance(m, nn.Conv2d)}
    for parameter in network.parameters():
        if id(parameter) in kernels:
            parameter.copy_(round_keeping_sums(parameter))
        elif id(parameter) not in exact:
            parameter.copy_(parameter.half())


def exact_modules(network: LifeIQA) -> list[nn.Module]:
    """The modules that keep their float32 weights in a half-precision network.

    The router, because a near-tie that rounds the other way changes the expert; and the last
    product, because float16 has steps of 5e-4 at a score of 0.6.
    """
    routers: list[nn.Module] = [m for m in network.modules() if isinstance(m, Router)]
    return [*routers, network.head.score]


def round_keeping_sums(weight: Tensor) -> Tensor:
    """Round ``(O, I, kh, kw)`` to float16 values so that each kernel keeps its sum.

    Neighbouring pixels are nearly equal, so the error of a rounded kernel is chiefly the error of
    its sum. On EfficientNet-Lite0, whose depthwise kernels hold large weights that cancel,
    rounding to nearest had 3 times the drift of this method. Weights are rounded from the largest
    to the smallest, and each passes its error on to the next, so that the error left at the end
    is less than a step of the smallest.

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


def normalised_convolutions(network: LifeIQA) -> list[tuple[nn.Conv2d, Any]]:
    """Pairs of a convolution and the batch normalisation that follows it.

    They are found by sending a black crop through the backbone.
    """
    outputs: list[tuple[Tensor, nn.Conv2d]] = []
    pairs: list[tuple[nn.Conv2d, Any]] = []

    def after_convolution(module: Any, _: Any, output: Tensor) -> None:
        outputs.append((output, module))  # kept alive, so that no two share an id

    def before_norm(module: Any, inputs: tuple[Tensor, ...]) -> None:
        pairs.extend((conv, module) for output, conv in outputs if output is inputs[0])

    handles = []
    for module in network.backbone.modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_hook(after_convolution))
        elif isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(before_norm))
    network.backbone.shapes(network.config.crop_size)
    for handle in handles:
        handle.remove()
    return pairs
