"""Changes of single settings, as `--set KEY=VALUE` takes them."""

import pytest

from lifeiqa.errors import ConfigError
from lifeiqa.training.settings import (
    layer_from_changes,
    settings_from_layers,
)

BASE = {"phases": {"joint": {"epochs": 3, "lr": 1e-3}}}
"""The least that can be trained."""


def changed(*changes):
    return settings_from_layers([BASE, layer_from_changes(changes)])


def refusal(call, *arguments):
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "table", "value"),
    [
        ("backbone=lite0", "model", "lite0"),
        ("mixer=attention", "model", "attention"),
        ("dim=192", "model", 192),
        ("query_stage=0", "model", 0),
        ("memory_stage=none", "model", None),
        ("memory_stage=2", "model", 2),
        ("expert_hidden=none", "model", None),
        ("dropout=0", "model", 0.0),
        ("dropout=2.5e-1", "model", 0.25),
        ("short_side=512", "images", 512),
        ("short_side=none", "images", None),
        ("crops=random:5:1", "images", "random:5:1"),
        ("seed=3", "training", 3),
        ("clip=1", "training", 1.0),
        ("flip=false", "training", False),
        ("flip=true", "training", True),
        ("optimizer=adam", "training", "adam"),
    ],
)
def test_a_change_takes_the_type_of_its_field(change, table, value):
    settings = changed(change)

    name = change.partition("=")[0]
    found = getattr(getattr(settings, table), name)
    assert (found, type(found)) == (value, type(value))
    others = {"model", "images", "training"} - {table}
    assert all(getattr(settings, o) == getattr(changed(), o) for o in others)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("joint.epochs=9", 9),
        ("joint.lr=3e-4", 3e-4),
        ("joint.backbone_lr=none", None),
        ("joint.backbone_lr=1e-5", 1e-5),
        ("joint.unfreeze=all", ("all",)),
        ("joint.unfreeze=conv_stem,blocks.0", ("conv_stem", "blocks.0")),
        ("joint.unfreeze=", ()),
        ("joint.schedule=constant", "constant"),
    ],
)
def test_a_change_of_a_phase_takes_the_type_of_its_field(change, value):
    (phase,) = changed(change).training.phases

    found = getattr(phase, change.partition("=")[0].removeprefix("joint."))
    assert (found, type(found)) == (value, type(value))
    assert phase.name == "joint"


def test_changes_add_up_and_the_last_of_one_name_holds():
    settings = changed("dim=96", "joint.epochs=2", "heads=4", "dim=64", "joint.lr=1", "seed=5")

    (phase,) = settings.training.phases
    assert (settings.model.dim, settings.model.heads) == (64, 4)
    assert (phase.epochs, phase.lr, settings.training.seed) == (2, 1.0, 5)


def test_changes_can_add_a_phase():
    phases = changed("refine.epochs=2", "refine.lr=1e-4").training.phases

    assert [phase.name for phase in phases] == ["joint", "refine"]


def test_a_change_of_a_phase_that_is_not_there_lacks_the_rest():
    assert "phase jiont has no lr" in refusal(changed, "jiont.epochs=2")


@pytest.mark.parametrize(
    "change",
    [
        "depht=3", "=3", "dim", "", "model.dim=3", "phases=3", "epochs=3", "name=x",
        "joint.name=x", "joint.epochs", "joint.=3",
    ],
)  # fmt: skip
def test_an_unknown_key_is_refused_with_the_known_ones(change):
    message = refusal(layer_from_changes, [change])

    assert message.startswith(f"--set {change}: write KEY=VALUE")
    assert all(name in message for name in ("dim", "short_side", "batch_size", "unfreeze"))


@pytest.mark.parametrize("name", ["dim", "memory_stage", "short_side", "seed", "joint.epochs"])
@pytest.mark.parametrize("value", ["", "big", "1.5", "true", "null", "[1]", "None", "1e3"])
def test_a_whole_number_is_expected_of_a_count(name, value):
    message = refusal(layer_from_changes, [f"{name}={value}"])

    assert message == f"--set {name}={value}: a whole number is expected"


@pytest.mark.parametrize("name", ["dropout", "clip", "joint.lr", "joint.backbone_lr"])
@pytest.mark.parametrize("value", ["", "small", "true", "[1]", "1,5"])
def test_a_number_is_expected_of_a_rate(name, value):
    message = refusal(layer_from_changes, [f"{name}={value}"])

    assert message == f"--set {name}={value}: a number is expected"


@pytest.mark.parametrize("change", ["dim=none", "joint.lr=none", "flip=none"])
def test_what_cannot_be_missing_is_not_none(change):
    assert f"--set {change}: " in refusal(layer_from_changes, [change])


@pytest.mark.parametrize("value", ["", "1", "True", "yes"])
def test_a_switch_is_true_or_false(value):
    message = refusal(layer_from_changes, [f"flip={value}"])

    assert message == f"--set flip={value}: true or false is expected"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("top_k=9", "top_k 9 exceeds experts 4"),
        ("mixer=none2", "mixer is 'none2'"),
        ("dropout=nan", "dropout is nan"),
        ("crops=", "crop plan ''"),
        ("batch_size=0", "batch_size is 0"),
        ("joint.epochs=-1", "phase joint: epochs is -1"),
        ("joint.lr=0", "phase joint: lr is 0.0"),
        ("joint.warmup=4", "phase joint: warmup is 4.0 epochs of 3"),
        ("joint.crops=0", "phase joint: crops is 0"),
    ],
)
def test_a_change_to_what_cannot_work_is_refused(change, complaint):
    assert complaint in refusal(changed, change)
