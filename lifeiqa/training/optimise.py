"""Optimisers and learning rates of a phase."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from lifeiqa.errors import ConfigError
from lifeiqa.model.network import LifeIQA
from lifeiqa.training.recipe import Phase, Recipe


def optimizer_of(network: LifeIQA, recipe: Recipe, phase: Phase) -> torch.optim.Optimizer:
    """The optimiser of one phase; what it does not learn requires no gradient afterwards.

    There is no weight decay on biases, norms and scalars.

    Raises:
        ConfigError: ``unfreeze`` names what is no part of the backbone.
    """
    backbone = unfreeze(network, phase)
    decoder = [*network.decoder.parameters(), *network.head.parameters()]
    groups: list[dict[str, Any]] = []
    for parameters, lr in ((decoder, phase.lr), (backbone, phase.backbone_lr or phase.lr)):
        for chosen, decay in (
            ([p for p in parameters if p.ndim > 1], recipe.weight_decay),
            ([p for p in parameters if p.ndim <= 1], 0.0),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": lr, "weight_decay": decay})
    kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, fused=parameters_on_gpu(groups) or None)


def parameters_on_gpu(groups: list[dict[str, Any]]) -> bool:
    """Whether the optimiser's one-kernel form can be used."""
    return all(p.device.type == "cuda" for group in groups for p in group["params"])


def unfreeze(network: LifeIQA, phase: Phase) -> list[nn.Parameter]:
    """Let the phase's share of the backbone learn, and nothing else of it; returns that share."""
    learned, used = [], set()
    for name, parameter in network.backbone.features.named_parameters():
        named = {
            part for part in phase.unfreeze if part == "all" or f"{name}.".startswith(f"{part}.")
        }
        parameter.requires_grad_(bool(named))
        used |= named
        if named:
            learned.append(parameter)
    unknown = sorted(set(phase.unfreeze) - used)
    if unknown:
        first = [name for name, _ in network.backbone.features.named_children()]
        raise ConfigError(
            f"phase {phase.name} unfreezes {', '.join(unknown)}: no parameter of the backbone "
            f"begins so; they begin with {', '.join(first)}"
        )
    return learned


def rate(phase: Phase, steps: int) -> Callable[[int], float]:
    """Step -> factor on the peak learning rate; ``steps`` are those of one epoch."""
    rise = round(phase.warmup * steps)
    fall = phase.epochs * steps - rise

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        if phase.schedule == "constant":
            return 1.0
        if phase.schedule == "step":
            times: int = step // (phase.step_every * steps)
            return float(phase.step_factor**times)
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, fall)))

    return factor
