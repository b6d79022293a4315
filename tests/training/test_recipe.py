"""Phases and recipes, and those that the package carries: they hold what was published."""

import math

import pytest

from lifeiqa.config import BACKBONES
from lifeiqa.data.datasets import DATASETS
from lifeiqa.data.distortions import KINDS
from lifeiqa.errors import ConfigError
from lifeiqa.model import LifeIQA
from lifeiqa.training.optimise import unfreeze
from lifeiqa.training.recipe import Phase, Recipe
from lifeiqa.training.settings import layer_named, names_of, settings_from_layers

# What the paper says of each data set; the number of crops is the published code's.
PAPER = {
    # name: learning rate, batch, crops of an image
    "live": (2e-4, 64, 35),
    "csiq": (2e-4, 64, 35),
    "tid2013": (2e-4, 128, 25),
    "kadid": (2e-4, 128, 35),
    "livec": (2e-5, 64, 50),
    "koniq": (2e-5, 128, 40),
    "spaq": (2e-5, 128, 40),
}
# What the published code does: its batch is on each of 4 GPUs.
LITERATURE = {
    # name: learning rate, batch, crops of an image, schedule, factor of a step
    "live": (2e-5, 4 * 64, 35, "step", 0.1),
    "csiq": (2e-4, 4 * 64, 35, "step", 0.1),
    "tid2013": (2e-4, 4 * 128, 25, "step", 0.1),
    "kadid": (2e-5, 4 * 128, 35, "step", 0.1),
    "livec": (3e-5, 4 * 64, 50, "cosine", None),
    "koniq": (2e-5, 4 * 128, 40, "step", 0.1),
    "spaq": (2e-5, 4 * 128, 40, "step", 0.1),
}
PRESETS = {
    # name: variant, backbone, crop, D, heads, layers, E, K, hidden width of an expert
    "swin_tiny": ("paper", "swin_tiny", 224, 384, 6, 4, 4, 2, 1536),
    "swin_small": ("paper", "swin_small", 224, 384, 6, 4, 4, 2, 1536),
    "swin_base": ("paper", "swin_base", 224, 384, 6, 4, 4, 2, 1536),
    "swin_base_official": ("official", "swin_base", 224, 384, 6, 4, 8, 2, 1536),
    "lite0": ("paper", "lite0", 384, 128, 4, 2, 4, 2, 128),
    "lite2": ("paper", "lite2", 384, 128, 4, 2, 4, 2, 128),
    "fast": ("paper", "lite0", 384, 128, 4, 2, 4, 2, 128),
    "accurate": ("paper", "lite2", 512, 128, 4, 2, 4, 2, 128),
}


def settings(recipe, protocol="honest", preset="swin_base"):
    """As the command puts them together."""
    layer = dict(layer_named("recipes", recipe))
    published = layer.pop("literature", {})
    protocol_layer = published if protocol == "literature" else {}
    return settings_from_layers([layer, layer_named("presets", preset), protocol_layer])


def phase(**changes):
    return Phase(**{"name": "joint", "epochs": 3, "lr": 1e-3, **changes})


def recipe(**changes):
    return Recipe(**{"phases": (phase(),), **changes})


def test_the_package_carries_these():
    assert set(names_of("recipes")) == {*PAPER, "frozen", "finetune_lite", "mixture"}
    assert set(names_of("presets")) == set(PRESETS)


def test_every_published_recipe_is_named_as_its_data_set():
    assert set(PAPER) == set(LITERATURE) == set(DATASETS) - {"biq2021"}


@pytest.mark.parametrize("protocol", ["honest", "literature"])
@pytest.mark.parametrize("name", [*PAPER, "frozen", "finetune_lite", "mixture"])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_recipe_fits_every_preset(name, protocol, preset):
    found = settings(name, protocol, preset)

    assert found.model == settings("frozen", preset=preset).model
    assert found.training == settings(name, protocol).training


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_is_what_the_paper_says(name):
    lr, batch, crops = PAPER[name]

    found = settings(name)

    assert found.training == Recipe(
        phases=(
            Phase(
                name="joint", epochs=30, lr=lr, unfreeze=("all",), crops=crops, twins=0,
                warmup=0.0, schedule="step", step_every=10, step_factor=0.01,
            ),
        ),
        batch_size=batch, optimizer="adam", weight_decay=0.0, clip=0.0, ema=0.0, autocast="no",
        loss="l1", rank=0.0, correlation=0.0, balance=0.01, z=0.001, sense=1.0, normalise=True,
        flip=True,
    )  # fmt: skip
    assert found.images.crops == "five"


@pytest.mark.parametrize("name", LITERATURE)
def test_the_literature_protocol_is_what_the_published_code_does(name):
    lr, batch, crops, schedule, factor = LITERATURE[name]

    found = settings(name, "literature")
    (joint,) = found.training.phases

    assert (joint.name, joint.epochs, joint.warmup, joint.twins) == ("joint", 30, 2, 0)
    assert (joint.lr, joint.backbone_lr, joint.unfreeze) == (lr, None, ("all",))
    assert (joint.crops, found.images.crops) == (crops, f"random:{crops}:0")
    assert joint.schedule == schedule
    if factor is not None:
        assert (joint.step_every, joint.step_factor) == (10, factor)
    assert found.training == Recipe(
        phases=(joint,), batch_size=batch, optimizer="adamw", weight_decay=0.01, clip=5.0,
        ema=0.0, autocast="fp16", loss="smooth_l1", balance=0.01, z=0.001, normalise=False,
        flip=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("protocol", ["honest", "literature"])
def test_images_of_koniq_and_spaq_alone_are_reduced(name, protocol):
    expected = 384 if name in ("koniq", "spaq") else None

    assert settings(name, protocol).images.short_side == expected


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_the_network_that_it_names(name):
    model = settings("frozen", preset=name).model

    assert (
        model.variant, model.backbone, model.crop_size, model.dim, model.heads, model.depth,
        model.experts, model.top_k, model.hidden,
    ) == PRESETS[name]  # fmt: skip
    assert model.backbone in BACKBONES
    assert (model.queries, model.query_stage, model.memory_stage) == (6, 4, 3)
    assert model.memory_grid == (6 if model.variant == "paper" else 7)


@pytest.mark.parametrize("name", ["lite0", "lite2"])
def test_the_feed_forward_head_of_a_small_network_is_as_wide_as_its_experts(name):
    model = settings("frozen", preset=name).model

    assert model.ffn_hidden == model.experts * model.hidden


@pytest.mark.parametrize("preset", ["lite0", "lite2"])
def test_finetuning_leaves_the_early_layers_of_a_small_network(preset):
    found = settings("finetune_lite", preset=preset)
    network = LifeIQA(found.model)
    counts = []
    for stage in found.training.phases:
        unfreeze(network, stage)
        counts.append(sum(p.requires_grad for p in network.backbone.parameters()))

    assert [stage.name for stage in found.training.phases] == ["frozen", "joint", "refine"]
    assert (counts[0], counts[2]) == (0, 0)
    assert 0 < counts[1] < len(list(network.backbone.parameters()))


@pytest.mark.parametrize("name", ["frozen", "finetune_lite"])
def test_recipes_for_images_of_ones_own_fit_the_crops_of_every_preset(name):
    for preset in PRESETS:
        found = settings(name, preset=preset)

        assert found.images.short_side >= found.model.crop_size


def test_the_frozen_recipe_runs_on_cached_features_alone():
    assert all(stage.cached for stage in settings("frozen").training.phases)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": ""}, "a phase is named ''"),
        ({"name": "a.b"}, "a phase is named 'a.b'"),
        ({"name": "a b"}, "a phase is named 'a b'"),
        ({"epochs": -1}, "phase joint: epochs is -1: 0 or more"),
        ({"warmup": -0.5}, "phase joint: warmup is -0.5"),
        ({"warmup": 4}, "phase joint: warmup is 4 epochs of 3"),
        ({"warmup": math.nan}, "phase joint: warmup is nan"),
        ({"crops": 0}, "phase joint: crops is 0: 1 or more"),
        ({"twins": -1}, "phase joint: twins is -1: 0 or more"),
        ({"step_every": 0}, "phase joint: step_every is 0"),
        ({"lr": 0.0}, "phase joint: lr is 0.0: more than 0"),
        ({"lr": math.nan}, "phase joint: lr is nan"),
        ({"backbone_lr": 0.0}, "phase joint: backbone_lr is 0.0"),
        ({"step_factor": 0.0}, "phase joint: step_factor is 0.0"),
        ({"sharpen": -1.0}, "phase joint: sharpen is -1.0"),
        ({"schedule": "linear"}, "phase joint: schedule is 'linear': choose one of cosine, step"),
    ],
)
def test_a_phase_that_cannot_work_is_refused(changes, complaint):
    with pytest.raises(ConfigError) as caught:
        phase(**changes)

    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"phases": ()}, "nothing would be trained"),
        ({"phases": (phase(epochs=0),)}, "nothing would be trained"),
        ({"phases": (phase(), phase(lr=1.0))}, "two phases have one name: joint, joint"),
        ({"seed": -1}, "seed is -1"),
        ({"batch_size": 0}, "batch_size is 0: 1 or more"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"clip": math.nan}, "clip is nan"),
        ({"ema": 1.0}, "ema is 1.0: a decay in [0, 1)"),
        ({"ema": math.nan}, "ema is nan"),
        ({"rank": -1.0}, "rank is -1.0"),
        ({"correlation": -1.0}, "correlation is -1.0"),
        ({"balance": -1.0}, "balance is -1.0"),
        ({"z": -1.0}, "z is -1.0"),
        ({"sense": -1.0}, "sense is -1.0"),
        (
            {"batch_size": 8, "phases": (phase(twins=9),)},
            "phase joint: twins is 9, a batch has 8 crops",
        ),
        ({"optimizer": "sgd"}, "optimizer is 'sgd': choose one of adam, adamw"),
        ({"autocast": "fp8"}, "autocast is 'fp8'"),
        ({"loss": "l2"}, "loss is 'l2': choose one of l1, smooth_l1"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(changes, complaint):
    with pytest.raises(ConfigError) as caught:
        recipe(**changes)

    assert complaint in str(caught.value)


def test_a_phase_without_epochs_may_stand_among_others():
    assert recipe(phases=[phase(epochs=0), phase(name="last")]).phases[1].name == "last"


def test_a_phase_runs_on_cached_features_where_it_unfreezes_nothing():
    assert phase().cached
    assert phase(unfreeze=[]).cached
    assert not phase(unfreeze=["all"]).cached


def test_settings_are_hashable_and_hold_no_lists():
    made = recipe(phases=[phase(unfreeze=["all"])])

    assert made.phases[0].unfreeze == ("all",)
    assert hash(made) == hash(recipe(phases=(phase(unfreeze=("all",)),)))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"ruined": 1.5}, "ruined is 1.5: 0 to 1"),
        ({"composed": -0.1}, "composed is -0.1: 0 to 1"),
        ({"copies": -1}, "copies is -1: 0 or more"),
        ({"shift": 3}, "shift is 3, and crops are not stored"),
        ({"held_out": ("rust",)}, "held_out has 'rust': choose of"),
        ({"held_out": tuple(KINDS)}, "leaves no kind of distortion whose severity is known"),
        ({"stored": True, "phases": (phase(twins=1),)}, "copies is 0, and stored crops have no"),
        ({"stored": True, "phases": (phase(crops=2),)}, "stored crops are one of each image"),
        ({"chosen_from": ("refine",)}, "chosen_from is refine, and no such phase has an epoch"),
    ],
)
def test_copies_that_cannot_be_made_are_refused(changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        recipe(**changes)
