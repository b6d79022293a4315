"""What a phase learns, by which optimiser, at which rate in each step."""

import math

import pytest
import torch

from helpers.tiny_network import tiny_config
from lifeiqa.errors import ConfigError
from lifeiqa.model import LifeIQA
from lifeiqa.training.optimise import optimizer_of, rate, unfreeze
from lifeiqa.training.recipe import Phase, Recipe


def phase(**changes):
    return Phase(**{"name": "joint", "epochs": 4, "lr": 1e-3, **changes})


def recipe(stage, **changes):
    return Recipe(phases=(stage,), **changes)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LifeIQA(tiny_config(crop_size=64, grid=2))


def learning(network):
    """Names of the backbone's parameters that require a gradient."""
    return {name for name, p in network.backbone.features.named_parameters() if p.requires_grad}


def beginning(network, *starts):
    names = {name for name, _ in network.backbone.features.named_parameters()}
    found = {name for name in names if name.startswith(starts)}
    assert found < names
    return found


def test_the_rate_rises_by_equal_steps_to_its_peak():
    factor = rate(phase(warmup=2.0, schedule="constant"), 5)

    assert [factor(step) for step in range(10)] == pytest.approx([0.1 * n for n in range(1, 11)])
    assert [factor(step) for step in range(10, 20)] == [1.0] * 10


def test_part_of_an_epoch_may_be_warm_up():
    factor = rate(phase(warmup=0.5, schedule="constant"), 8)

    assert [factor(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_without_warm_up_the_first_step_has_the_peak(schedule):
    assert rate(phase(schedule=schedule), 5)(0) == 1.0


@pytest.mark.parametrize("warmup", [0, 1])
def test_a_half_cosine_falls_from_the_peak_to_0(warmup):
    steps = 10
    factor = rate(phase(epochs=4 + warmup, warmup=warmup), steps)
    after = warmup * steps

    assert factor(after) == 1.0
    assert factor(after + 10) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert factor(after + 20) == pytest.approx(0.5)
    assert factor(after + 30) == pytest.approx((1 - math.sqrt(0.5)) / 2)
    assert 0 < factor(after + 39) < 0.01
    assert factor(after + 40) == pytest.approx(0)


def test_a_phase_of_warm_up_alone_ends_at_its_peak():
    factor = rate(phase(epochs=1, warmup=1.0), 4)

    assert [factor(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_steps_multiply_the_rate_at_the_beginning_of_their_epochs():
    factor = rate(phase(epochs=30, schedule="step", step_every=10, step_factor=0.01), 7)

    assert [factor(step) for step in (0, 69)] == [1.0, 1.0]
    assert [factor(step) for step in (70, 139)] == pytest.approx([0.01, 0.01])
    assert [factor(step) for step in (140, 209)] == pytest.approx([1e-4, 1e-4])


def test_epochs_of_warm_up_count_for_the_steps():
    factor = rate(phase(epochs=4, warmup=1, schedule="step", step_every=2, step_factor=0.5), 2)

    assert [factor(step) for step in range(8)] == [0.5, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("start", ["adam", "adamw"])
def test_the_optimiser_is_the_one_that_is_named(network, start):
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}

    optimizer = optimizer_of(network, recipe(phase(), optimizer=start), phase())

    assert type(optimizer) is kinds[start]


def test_every_parameter_that_learns_is_in_one_group_with_its_rate_and_decay(network):
    stage = phase(unfreeze=("all",), backbone_lr=1e-5)

    optimizer = optimizer_of(network, recipe(stage, weight_decay=0.2), stage)

    settings = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert id(parameter) not in settings
            settings[id(parameter)] = (group["lr"], group["weight_decay"])
    expected = {
        id(parameter): (
            1e-5 if name.startswith("backbone.") else 1e-3,
            0.2 if parameter.ndim > 1 else 0.0,
        )
        for name, parameter in network.named_parameters()
    }
    assert settings == expected
    assert len(set(expected.values())) == 4


def test_a_backbone_without_a_rate_of_its_own_has_the_decoders(network):
    stage = phase(unfreeze=("all",))

    optimizer = optimizer_of(network, recipe(stage), stage)

    assert {group["lr"] for group in optimizer.param_groups} == {1e-3}


def test_of_a_frozen_backbone_the_optimiser_has_nothing(network):
    optimizer = optimizer_of(network, recipe(phase()), phase())

    learned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    decoder = [*network.decoder.parameters(), *network.head.parameters()]
    assert learned == {id(p) for p in decoder}
    assert learning(network) == set()


def test_all_means_every_parameter_of_the_backbone(network):
    learned = unfreeze(network, phase(unfreeze=("all",)))

    names = {name for name, _ in network.backbone.features.named_parameters()}
    assert learning(network) == names
    assert len(learned) == len(names)


def test_names_begin_with_what_is_named_and_all_else_needs_no_gradient(network):
    learned = unfreeze(network, phase(unfreeze=("blocks.3", "blocks.1.0", "bn1")))

    expected = beginning(network, "blocks.3", "blocks.1.0", "bn1")
    parameters = dict(network.backbone.features.named_parameters())
    assert learning(network) == expected
    assert {id(p) for p in learned} == {id(parameters[name]) for name in expected}
    assert len(learned) == len(expected)


def test_what_is_named_twice_is_learned_once(network):
    learned = unfreeze(network, phase(unfreeze=("blocks", "blocks.3", "all")))

    assert len({id(p) for p in learned}) == len(learned)


def test_an_unknown_name_is_refused_with_the_known_ones(network):
    with pytest.raises(ConfigError) as caught:
        unfreeze(network, phase(unfreeze=("blocks.3", "layer4", "stem")))

    assert "phase joint unfreezes layer4, stem" in str(caught.value)
    assert "conv_stem, bn1, blocks" in str(caught.value)


def test_decoder_and_head_learn_in_every_phase(network):
    for stage in (phase(), phase(unfreeze=("blocks.3",)), phase(unfreeze=("all",))):
        unfreeze(network, stage)

        assert all(p.requires_grad for p in network.decoder.parameters())
        assert all(p.requires_grad for p in network.head.parameters())


def test_phases_unfreeze_by_stages_and_freeze_again(network):
    first = phase(name="first", unfreeze=("blocks.3",))
    second = phase(name="second", unfreeze=("blocks.2", "blocks.3"))
    changed = []
    for stage in (first, second, phase(name="last")):
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        optimizer = optimizer_of(network, recipe(stage, weight_decay=0.1), stage)
        network.zero_grad()
        network.eval()(torch.randn(2, 3, 64, 64)).score.sum().backward()
        optimizer.step()
        changed.append(
            {
                name
                for name, p in network.backbone.features.named_parameters()
                if not torch.equal(p, before[f"backbone.features.{name}"])
            }
        )

    assert changed[0] == beginning(network, "blocks.3")
    assert changed[1] == beginning(network, "blocks.2", "blocks.3")
    assert changed[2] == set()
