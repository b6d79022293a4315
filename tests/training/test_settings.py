import dataclasses

import pytest

from lifeiqa.config import ModelConfig
from lifeiqa.errors import ConfigError
from lifeiqa.training.recipe import Recipe
from lifeiqa.training.settings import from_changes


def refusal(*changes: str) -> str:
    with pytest.raises(ConfigError) as caught:
        from_changes(changes)
    return str(caught.value)


def test_no_change_gives_the_defaults():
    assert from_changes([]) == (ModelConfig(), Recipe())


def test_a_name_belongs_to_the_network_or_to_the_run_and_to_one_alone():
    names = [{field.name for field in dataclasses.fields(kind)} for kind in (ModelConfig, Recipe)]

    assert not names[0] & names[1]


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("backbone=lite0", "lite0"),
        ("mixer=attention", "attention"),
        ("dim=192", 192),
        ("query_stage=0", 0),
        ("memory_stage=none", None),
        ("memory_stage=2", 2),
        ("grid=3", 3),
        ("expert_hidden=none", None),
        ("dropout=0", 0.0),
        ("dropout=2.5e-1", 0.25),
    ],
)
def test_a_change_of_the_network_takes_the_type_of_its_field(change, value):
    config, recipe = from_changes([change])

    changed = getattr(config, change.partition("=")[0])
    assert (changed, type(changed)) == (value, type(value))
    assert recipe == Recipe()


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("epochs=3", 3),
        ("seed=-1", -1),
        ("lr=3e-4", 3e-4),
        ("clip=1", 1.0),
        ("frozen_layers=conv_stem,bn1", ("conv_stem", "bn1")),
        ("frozen_layers=blocks.0", ("blocks.0",)),
        ("frozen_layers=", ()),
    ],
)
def test_a_change_of_the_run_takes_the_type_of_its_field(change, value):
    config, recipe = from_changes([change])

    changed = getattr(recipe, change.partition("=")[0])
    assert (changed, type(changed)) == (value, type(value))
    assert config == ModelConfig()


def test_changes_add_up_and_the_last_of_one_name_holds():
    config, recipe = from_changes(["dim=96", "epochs=2", "heads=4", "dim=64"])

    assert (config.dim, config.heads, recipe.epochs) == (64, 4, 2)


@pytest.mark.parametrize("change", ["depht=3", "=3", "dim", "", "model.dim=3"])
def test_an_unknown_key_is_refused_with_the_known_ones(change):
    message = refusal(change)

    assert message.startswith(f"--set {change}: write KEY=VALUE")
    assert "dim" in message
    assert "frozen_layers" in message


@pytest.mark.parametrize("name", ["dim", "memory_stage", "epochs", "batch_size"])
@pytest.mark.parametrize("value", ["", "big", "1.5", "true", "null", "[1]", "None", "1e3"])
def test_a_whole_number_is_expected_of_a_count(name, value):
    assert refusal(f"{name}={value}") == f"--set {name}={value}: a whole number is expected"


@pytest.mark.parametrize("name", ["lr", "dropout"])
@pytest.mark.parametrize("value", ["", "small", "true", "none", "[1]"])
def test_a_number_is_expected_of_a_rate(name, value):
    assert refusal(f"{name}={value}") == f"--set {name}={value}: a number is expected"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("top_k=9", "top_k 9 exceeds experts 4"),
        ("mixer=none2", "mixer is 'none2'"),
        ("dropout=nan", "dropout is nan"),
        ("epochs=-1", "epochs is -1"),
        ("frozen_epochs=0", "nothing would be trained"),
        ("batch_size=0", "batch_size is 0"),
        ("frozen_crops=0", "frozen_crops is 0"),
        ("lr=0", "lr is 0.0"),
        ("backbone_lr=-1e-4", "backbone_lr is -0.0001"),
        ("frozen_lr=nan", "frozen_lr is nan"),
        ("clip=nan", "clip is nan"),
        ("weight_decay=-0.1", "weight_decay is -0.1"),
        ("weight_decay=nan", "weight_decay is nan"),
        ("warmup=1", "warmup is 1.0"),
        ("ema=1", "ema is 1.0"),
        ("ema=nan", "ema is nan"),
    ],
)
def test_a_value_out_of_range_is_refused(change, complaint):
    assert complaint in refusal(change)


def test_a_recipe_as_a_dictionary_is_complete():
    recipe = Recipe(epochs=2, frozen_layers=("conv_stem",))

    assert Recipe(**recipe.to_dict()) == recipe
