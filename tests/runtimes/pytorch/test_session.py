"""Half precision in PyTorch on a CPU: what is multiplied, summed and rounded, and where."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from helpers.tiny_network import random_crops, tiny_manifest, tiny_model
from lifeiqa.runtimes.pytorch.session import PyTorchSession, _Float32Products
from lifeiqa_export.half import to_half

# name -> a product, and the shapes of its operands
PRODUCTS = {
    "convolution": (lambda x, w: functional.conv2d(x, w, padding=1), (2, 32, 9, 9), (8, 32, 3, 3)),
    "depthwise": (lambda x, w: functional.conv2d(x, w, groups=16), (2, 16, 9, 9), (16, 1, 3, 3)),
    "module": (lambda x, w: _module(w)(x), (2, 8, 9, 9), (4, 8, 3, 3)),
    "linear": (functional.linear, (5, 300), (7, 300)),
    "operator": (lambda x, w: x @ w, (3, 4, 50), (3, 50, 6)),
    "method": (lambda x, w: x.matmul(w), (4, 50), (50, 6)),
    "function": (torch.matmul, (3, 4, 50), (50, 6)),
    "batched": (torch.bmm, (3, 4, 50), (3, 50, 6)),
}


def _module(weight):
    found = nn.Conv2d(weight.shape[1], weight.shape[0], 3, bias=False).to(weight.dtype)
    found.weight = nn.Parameter(weight)
    return found


def _operands(name):
    product, *shapes = PRODUCTS[name]
    generator = torch.Generator().manual_seed(0)
    return product, [torch.randn(shape, generator=generator).half() for shape in shapes]


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_of_halves_is_the_exact_one_rounded_once(name):
    product, operands = _operands(name)
    exact = product(*(each.double() for each in operands))
    with _Float32Products():
        found = product(*operands)

    assert found.dtype == torch.float16
    # Half a step of float16 for the rounding, and what a float32 sum of such terms can be off by.
    step = 2.0 ** (torch.floor(torch.log2(exact.abs().clamp(min=2.0**-14))) - 10)
    terms = product(*(each.double().abs() for each in operands))
    assert ((found.double() - exact).abs() <= step / 2 + 2.0**-22 * terms).all()


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_of_other_types_is_left_alone(name):
    product, operands = _operands(name)
    operands = [each.float() for each in operands]
    with _Float32Products():
        found = product(*operands)

    assert torch.equal(found, product(*operands))


def test_a_half_network_computes_in_half_between_its_products():
    """Against PyTorch's own kernels for float16, which sum in another order."""
    model = to_half(tiny_model())
    crops = random_crops(6, model.network.config.crop_size)
    session = PyTorchSession(model, dataclasses.replace(tiny_manifest(model), precision="fp16"))
    seen = set()

    def record(module, inputs, output):
        seen.add(output.dtype)

    for module in session._loaded.network.backbone.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(record)
    with torch.inference_mode():
        own = model(torch.tensor(crops)).score.numpy()

    np.testing.assert_allclose(session.run(crops), own, atol=2e-3)
    assert seen == {torch.float16}


def test_a_trace_is_of_the_same_arithmetic_as_a_run(monkeypatch):
    model = to_half(tiny_model())
    session = PyTorchSession(model, tiny_manifest(model))
    entered = []
    monkeypatch.setattr(_Float32Products, "__enter__", lambda mode: entered.append(mode))
    monkeypatch.setattr(_Float32Products, "__exit__", lambda *_: None)
    session.run(random_crops(1, model.network.config.crop_size))
    session.run_traced(random_crops(1, model.network.config.crop_size))

    assert len(entered) == 2
