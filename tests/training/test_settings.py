"""Settings from layers: the later one holds, each mistake is named, and the record reads back."""

import dataclasses
import math
import tomllib

import pytest

from helpers.tiny_network import tiny_manifest, tiny_model
from lifeiqa.config import ModelConfig
from lifeiqa.errors import ArtifactError, ConfigError
from lifeiqa.model.checkpoint import save_checkpoint
from lifeiqa.training.recipe import Phase, Recipe
from lifeiqa.training.settings import (
    Images,
    Settings,
    layer_from_changes,
    layer_from_checkpoint,
    layer_from_file,
    layer_named,
    names_of,
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


def test_the_least_takes_every_default():
    assert settings_from_layers([BASE]) == Settings(
        model=ModelConfig(),
        images=Images(),
        training=Recipe(phases=(Phase(name="joint", epochs=3, lr=1e-3),)),
    )


def test_a_name_belongs_to_one_table_alone():
    names = [f.name for kind in (ModelConfig, Images, Recipe) for f in dataclasses.fields(kind)]

    assert len(set(names)) == len(names)


def test_a_later_layer_changes_single_names():
    first = {
        "model": {"dim": 96, "heads": 4},
        "images": {"short_side": 384},
        "training": {"batch_size": 8, "flip": False},
        "phases": {"a": {"epochs": 1, "lr": 0.1, "unfreeze": ["bn1"]}, "b": {"epochs": 2, "lr": 1}},
    }
    second = {
        "model": {"dim": 64},
        "images": {"crops": "center"},
        "training": {"batch_size": 16},
        "phases": {"c": {"epochs": 3, "lr": 3}, "a": {"lr": 0.2}},
    }

    found = settings_from_layers([first, second])

    assert (found.model.dim, found.model.heads) == (64, 4)
    assert found.images == Images(short_side=384, crops="center")
    assert (found.training.batch_size, found.training.flip) == (16, False)
    assert [phase.name for phase in found.training.phases] == ["a", "b", "c"]
    assert found.training.phases[0] == Phase(name="a", epochs=1, lr=0.2, unfreeze=("bn1",))


def test_layers_are_left_as_they_were():
    first = {"model": {"dim": 96}, "phases": {"joint": {"epochs": 1, "lr": 0.1}}}
    second = {"model": {"dim": 48}, "phases": {"joint": {"epochs": 2}}}

    settings_from_layers([first, second])

    assert first == {"model": {"dim": 96}, "phases": {"joint": {"epochs": 1, "lr": 0.1}}}


def test_none_takes_back_what_an_earlier_layer_set():
    layers = [BASE, {"images": {"short_side": 384}}, {"images": {"short_side": "none"}}]

    assert settings_from_layers(layers).images.short_side is None


def test_a_phase_may_be_completed_by_a_later_layer():
    layers = [{"phases": {"joint": {"epochs": 1}}}, {"phases": {"joint": {"lr": 1}}}]

    (phase,) = settings_from_layers(layers).training.phases
    assert (phase.lr, type(phase.lr)) == (1.0, float)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            {"modle": {}},
            "settings have no table 'modle'; they have model, images, training, phases.NAME",
        ),
        ({"literature": {}}, "no table 'literature'"),
        ({"dim": 3}, "no table 'dim'"),
        ({"model": {"depht": 3}}, "[model] has no 'depht'; it has variant, backbone, crop_size"),
        ({"images": {"mean": [0, 0, 0]}}, "[images] has no 'mean'; it has short_side, crops"),
        ({"training": {"epochs": 3}}, "[training] has no 'epochs'; it has seed, batch_size"),
        ({"training": {"phases": []}}, "[training] has no 'phases'"),
        ({"phases": {"joint": {"speed": 1}}}, "[phases.joint] has no 'speed'; it has epochs, lr"),
        ({"phases": {"joint": {"name": "x"}}}, "[phases.joint] has no 'name'"),
        ({"model": 3}, "[model] is 3: a table is expected"),
        ({"phases": 3}, "phases is 3: tables [phases.NAME] are expected"),
        ({"phases": [{"epochs": 1}]}, "phases is [{'epochs': 1}]: tables"),
        ({"phases": {"epochs": 3}}, "[phases.epochs] is 3: a table is expected"),
        ({"phases": {"warm": {"epochs": 1}}}, "phase warm has no lr"),
        ({"phases": {"warm": {}}}, "phase warm has no epochs and no lr"),
        ({"phases": {"a b": {"epochs": 1, "lr": 1}}}, "a phase is named 'a b'"),
        ({"model": {"dim": "96"}}, "[model] dim is '96': a whole number is expected"),
        ({"model": {"dim": 96.0}}, "[model] dim is 96.0: a whole number is expected"),
        ({"model": {"dim": True}}, "[model] dim is True: a whole number is expected"),
        ({"model": {"dim": "none"}}, "[model] dim is 'none': a whole number is expected"),
        ({"model": {"memory_stage": "last"}}, "[model] memory_stage is 'last': a whole number"),
        ({"model": {"dropout": "0.1"}}, "[model] dropout is '0.1': a number is expected"),
        ({"model": {"backbone": 0}}, "[model] backbone is 0: a text is expected"),
        ({"images": {"crops": 5}}, "[images] crops is 5: a text is expected"),
        ({"training": {"flip": 1}}, "[training] flip is 1: true or false is expected"),
        ({"training": {"flip": "true"}}, "[training] flip is 'true': true or false is expected"),
        ({"training": {"ema": False}}, "[training] ema is False: a number is expected"),
        ({"training": {"loss": []}}, "[training] loss is []: a text is expected"),
        (
            {"phases": {"joint": {"unfreeze": "all"}}},
            "[phases.joint] unfreeze is 'all': a list of texts is expected",
        ),
    ],
)
def test_what_is_unknown_or_of_another_kind_is_refused_by_its_name(layer, message):
    assert message in refusal(settings_from_layers, [BASE, layer])


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"model": {"top_k": 9}}, "top_k 9 exceeds experts 4"),
        ({"images": {"crops": "seven"}}, "crop plan 'seven'"),
        ({"training": {"batch_size": 0}}, "batch_size is 0"),
        ({"training": {"ema": math.nan}}, "ema is nan"),
        ({"phases": {"joint": {"schedule": "linear"}}}, "phase joint: schedule is 'linear'"),
    ],
)
def test_what_cannot_work_is_refused(layer, message):
    assert message in refusal(settings_from_layers, [BASE, layer])


def test_settings_without_a_phase_train_nothing():
    assert "nothing would be trained" in refusal(settings_from_layers, [{"model": {"dim": 96}}])


EVERY_KIND = {
    "model": {"memory_stage": "none", "grid": 3, "expert_hidden": "none", "dropout": 0.25},
    "images": {"short_side": "none", "crops": "random:3:7"},
    "training": {"seed": 7, "flip": False, "ema": 0.0, "weight_decay": 1e-7, "loss": "smooth_l1"},
    "phases": {
        "first-1": {"epochs": 1, "lr": 3e-4},
        "b_2": {"epochs": 2, "lr": 0.1, "backbone_lr": 2e-5, "unfreeze": ["bn1", "blocks.3"]},
        "a": {"epochs": 0, "lr": 1, "warmup": 0, "schedule": "constant", "sharpen": 16},
    },
}


def recorded(settings, path):
    path.write_text(settings.to_toml(), "utf-8")
    return settings_from_layers([layer_from_file(path)])


def test_the_record_of_every_kind_of_value_reads_back(tmp_path):
    settings = settings_from_layers([EVERY_KIND])

    again = recorded(settings, tmp_path / "recipe.toml")

    assert again == settings
    assert again.to_toml() == settings.to_toml()
    assert (again.model.memory_stage, again.model.grid) == (None, 3)
    assert again.images.short_side is None
    assert [p.name for p in again.training.phases] == ["first-1", "b_2", "a"]
    assert [p.backbone_lr for p in again.training.phases] == [None, 2e-5, None]


@pytest.mark.parametrize("preset", names_of("presets"))
@pytest.mark.parametrize("recipe", names_of("recipes"))
def test_the_record_of_what_the_package_carries_reads_back(recipe, preset, tmp_path):
    layer = dict(layer_named("recipes", recipe))
    published = layer.pop("literature", {})
    settings = settings_from_layers([layer_named("presets", preset), layer, published])

    assert recorded(settings, tmp_path / "recipe.toml") == settings


def test_the_record_holds_every_name_so_that_a_later_default_changes_nothing():
    tables = tomllib.loads(settings_from_layers([BASE]).to_toml())

    for table, kind in (("model", ModelConfig), ("images", Images), ("training", Recipe)):
        names = {field.name for field in dataclasses.fields(kind)} - {"phases"}
        assert set(tables[table]) == names
    assert set(tables["phases"]["joint"]) == {f.name for f in dataclasses.fields(Phase)} - {"name"}


def test_settings_as_plain_values_are_a_layer():
    settings = settings_from_layers([EVERY_KIND])

    assert settings_from_layers([settings.to_dict()]) == settings


@pytest.mark.parametrize(
    ("content", "cause"),
    [(b"[model\ndim = 3", "line 1"), (b"lr = fast", "line 1"), (b"a = '\xff'", "utf-8")],
)
def test_a_file_that_is_no_toml_is_refused_with_the_place(tmp_path, content, cause):
    path = tmp_path / "mine.toml"
    path.write_bytes(content)

    message = refusal(layer_from_file, path)

    assert message.startswith(f"{path}: these settings cannot be read")
    assert cause in message


def test_a_file_that_is_missing_is_refused(tmp_path):
    path = tmp_path / "none.toml"

    assert f"{path}: these settings cannot be read" in refusal(layer_from_file, path)


@pytest.mark.parametrize("short_side", [None, 200])
def test_a_checkpoint_brings_its_network_and_how_it_is_fed(tmp_path, short_side):
    model = tiny_model(memory_stage=None, experts=3)
    fed = dataclasses.replace(
        tiny_manifest(model).preprocessing, short_side=short_side, crops="grid:2"
    )
    manifest = dataclasses.replace(tiny_manifest(model), preprocessing=fed)
    save_checkpoint(tmp_path / "tiny.safetensors", model.network, manifest)
    other = {"model": {"depth": 1, "grid": 3}, "images": {"short_side": 384, "crops": "five"}}

    layer = layer_from_checkpoint(tmp_path / "tiny.safetensors")

    found = settings_from_layers([BASE, other, layer])
    assert found.model == model.network.config
    assert found.images == Images(short_side=short_side, crops="grid:2")
    assert found.training == settings_from_layers([BASE]).training


def test_what_is_no_checkpoint_brings_nothing(tmp_path):
    path = tmp_path / "tiny.safetensors"

    for damage in (lambda: None, lambda: path.write_bytes(b"no tensors")):
        damage()
        with pytest.raises(ArtifactError, match=r"tiny\.safetensors"):
            layer_from_checkpoint(path)


@pytest.mark.parametrize("kind", ["presets", "recipes"])
@pytest.mark.parametrize("name", ["swin", "", "../recipes/csiq", "csiq.toml"])
def test_a_name_that_the_package_lacks_is_refused_with_those_it_has(kind, name):
    message = refusal(layer_named, kind, name)

    assert message.startswith(f"{name}: no {kind[:-1]} of that name; there are ")
    assert all(known in message for known in names_of(kind))
