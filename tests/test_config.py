import dataclasses
import json
import math

import pytest

from lifeiqa.config import BACKBONES, Labels, ModelConfig, Preprocessing
from lifeiqa.errors import ConfigError

FEED = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
RANGE = {"dataset": "KonIQ-10k", "low": 1.0, "high": 5.0}
COUNTS = ["crop_size", "queries", "dim", "heads", "experts", "top_k", "ffn_hidden"]
OPTIONAL_COUNTS = ["grid", "expert_hidden"]
FROM_ZERO = ["query_stage", "memory_stage", "depth"]


def refusal(kind, **values):
    with pytest.raises(ConfigError) as caught:
        kind(**values)
    return str(caught.value)


def test_defaults_are_the_settings_of_the_paper():
    config = ModelConfig()

    assert (config.variant, config.mixer, config.head) == ("paper", "gcn", "moe")
    assert (config.queries, config.dim, config.heads, config.depth) == (6, 384, 6, 4)
    assert (config.experts, config.top_k) == (4, 2)
    assert (config.query_stage, config.memory_stage) == (4, 3)
    assert config.backbone_name == BACKBONES["swin_base"]


def test_more_experts_per_token_than_experts_are_refused():
    message = refusal(ModelConfig, top_k=5, experts=4)

    assert "top_k 5" in message
    assert "experts 4" in message


def test_every_expert_may_be_used():
    assert ModelConfig(top_k=4, experts=4).top_k == 4


def test_a_width_that_heads_cannot_share_is_refused():
    message = refusal(ModelConfig, dim=384, heads=5)

    assert "dim 384" in message
    assert "heads 5" in message


def test_the_published_graph_convolution_needs_a_quarter_of_the_width():
    assert "dim 390" in refusal(ModelConfig, variant="official", dim=390)


def test_a_width_without_a_quarter_serves_every_other_network():
    assert ModelConfig(variant="paper", dim=390).dim == 390
    assert ModelConfig(variant="official", mixer="attention", dim=390).dim == 390


def test_layers_that_would_be_empty_are_refused():
    message = refusal(ModelConfig, mixer="none", memory_stage=None, depth=3)

    assert "depth 3" in message
    assert ModelConfig(mixer="none", memory_stage=None, depth=0).depth == 0


@pytest.mark.parametrize("name", ["variant", "mixer", "head"])
@pytest.mark.parametrize("value", ["Paper", "", None, 1, ["gcn"]])
def test_choices_are_named_when_a_value_is_none_of_them(name, value):
    message = refusal(ModelConfig, **{name: value})

    assert message.startswith(f"{name} is {value!r}: choose one of ")
    assert getattr(ModelConfig(), name) in message


@pytest.mark.parametrize("name", COUNTS + OPTIONAL_COUNTS)
@pytest.mark.parametrize("value", [0, -1, True, 2.0, "2", math.nan])
def test_counts_are_whole_numbers_of_at_least_one(name, value):
    message = refusal(ModelConfig, **{name: value})

    assert f"{name} is {value!r}" in message
    assert "at least 1" in message


@pytest.mark.parametrize("name", COUNTS + OPTIONAL_COUNTS + FROM_ZERO)
def test_no_count_is_beyond_what_memory_holds(name):
    most = 2048 if name == "crop_size" else 65_536

    for value in (most + 1, 10**9, 10**400):
        assert f"{name} is {value}: " in refusal(ModelConfig, **{name: value})


def test_the_largest_crop_is_one_that_can_be_cut():
    assert ModelConfig(crop_size=2048).crop_size == 2048


@pytest.mark.parametrize(
    "name", ["hf-hub:a/b", "local-dir:/tmp", "../x", "a/b", r"a\b", "a b", "a\n", 5, None, ["x"]]
)
def test_a_backbone_is_the_name_of_a_network_and_fetches_nothing(name):
    with pytest.raises(ConfigError):
        ModelConfig.from_dict({"backbone": name})


@pytest.mark.parametrize("name", FROM_ZERO)
@pytest.mark.parametrize("value", [-1, False, 1.0, "1"])
def test_stages_and_depth_are_whole_numbers_from_zero(name, value):
    message = refusal(ModelConfig, **{name: value})

    assert f"{name} is {value!r}" in message
    assert "at least 0" in message


@pytest.mark.parametrize("name", [*COUNTS, "query_stage", "depth"])
def test_none_stands_for_no_count(name):
    assert f"{name} is None" in refusal(ModelConfig, **{name: None})


@pytest.mark.parametrize("value", [-0.1, 1, 1.5, math.nan, math.inf])
def test_dropout_is_a_probability_below_one(value):
    assert f"dropout is {value}" in refusal(ModelConfig, dropout=value)


def test_an_empty_backbone_is_refused():
    assert "backbone is empty" in refusal(ModelConfig, backbone="")


def test_any_timm_name_is_a_backbone():
    assert ModelConfig(backbone="resnet18").backbone_name == "resnet18"
    assert ModelConfig(backbone="lite0").backbone_name == "tf_efficientnet_lite0"


def test_the_attended_grid_follows_the_variant_unless_it_is_given():
    assert ModelConfig(queries=5).memory_grid == 5
    assert ModelConfig(variant="official", queries=5).memory_grid == 7
    assert ModelConfig(variant="official", grid=3).memory_grid == 3


def test_an_expert_is_four_times_as_wide_as_a_token_unless_it_is_given():
    assert ModelConfig(dim=96).hidden == 384
    assert ModelConfig(dim=96, expert_hidden=100).hidden == 100


@pytest.mark.parametrize("name", ["mean", "std"])
@pytest.mark.parametrize("value", [(0.5, math.nan, 0.5), (0.5, 0.5, math.inf), (0.5, 0.5), ()])
def test_channel_statistics_are_three_finite_numbers(name, value):
    message = refusal(Preprocessing, **{**FEED, name: value})

    assert message.startswith(f"{name} is {tuple(value)}")


@pytest.mark.parametrize("deviation", [0.0, -0.2])
def test_a_deviation_that_is_not_positive_is_refused(deviation):
    assert f"0.2, 0.2, {deviation}" in refusal(
        Preprocessing, mean=FEED["mean"], std=(0.2, 0.2, deviation)
    )


@pytest.mark.parametrize("value", [-0.01, 1.01, 127.5])
def test_a_mean_is_in_units_of_one(value):
    assert f"mean is (0.5, 0.5, {value})" in refusal(
        Preprocessing, std=FEED["std"], mean=(0.5, 0.5, value)
    )


@pytest.mark.parametrize("value", [9e-4, 1e-300, 1001, 1e300])
def test_a_deviation_that_half_precision_cannot_divide_by_is_refused(value):
    assert f"std is (0.5, 0.5, {float(value)})" in refusal(
        Preprocessing, mean=FEED["mean"], std=(0.5, 0.5, value)
    )


def test_channels_may_be_left_as_they_are():
    assert Preprocessing(mean=(0, 0, 0), std=(1, 1, 1)).std == (1.0, 1.0, 1.0)
    assert Preprocessing(mean=(0, 1, 0), std=(1 / 255, 1e-3, 1e3)).mean == (0.0, 1.0, 0.0)


@pytest.mark.parametrize("value", [5, None, ["five"]])
def test_a_crop_plan_is_text(value):
    assert f"crops is {value!r}: expected text" in refusal(Preprocessing, **FEED, crops=value)


@pytest.mark.parametrize("value", [0, -384, 384.0, True, "384", 10**9])
def test_a_working_scale_is_a_whole_number_of_pixels(value):
    assert f"short_side is {value!r}" in refusal(Preprocessing, **FEED, short_side=value)


def test_an_unknown_kernel_is_refused():
    assert "resample is 'nearest'" in refusal(Preprocessing, **FEED, resample="nearest")


@pytest.mark.parametrize("ends", [(5, 1), (1, 1), (math.nan, 1), (0, math.nan), (-math.inf, 0)])
def test_a_label_range_goes_up_and_is_finite(ends):
    low, high = ends

    assert f"{low}..{high}" in refusal(Labels, dataset="x", low=low, high=high)


@pytest.mark.parametrize("ends", [(-1e308, 1e308), (0, 1e7), (-1e7, 0), (0, 1e-7), (1, 1 + 1e-9)])
def test_a_label_range_is_one_that_scores_can_tell_apart(ends):
    low, high = ends

    assert f"label range {low}..{high}: expected ends within +-1e+06" in refusal(
        Labels, dataset="x", low=low, high=high
    )


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Labels, {**RANGE, "high": 10**400}),
        (Labels, {**RANGE, "dataset": 3}),
        (Labels, {**RANGE, "normalised": "no"}),
        (Preprocessing, {**FEED, "mean": [10**400, 0, 0]}),
    ],
)
def test_no_value_of_a_file_escapes_as_another_error(kind, values):
    with pytest.raises(ConfigError):
        kind.from_dict(values)


def test_an_unknown_direction_is_refused():
    assert "direction is 'up'" in refusal(Labels, **RANGE, direction="up")


def test_normalised_scores_are_stretched_to_the_label_range():
    assert Labels(**RANGE).scale_and_offset == (4.0, 1.0)
    assert Labels(**RANGE, normalised=False).scale_and_offset == (1.0, 0.0)
    assert Labels(**RANGE).span == 4.0


EXAMPLES = [
    ModelConfig(variant="official", backbone="lite0", memory_stage=None, top_k=4, dropout=0.0),
    Preprocessing(**FEED, short_side=384, crops="grid:3", resample="bilinear"),
    Labels(**RANGE, direction="lower", normalised=False),
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_settings_survive_json(example):
    text = json.dumps(dataclasses.asdict(example))

    assert type(example).from_dict(json.loads(text)) == example


def test_a_network_as_a_dictionary_is_plain_and_complete():
    config = EXAMPLES[0]

    assert ModelConfig.from_dict(config.to_dict()) == config
    assert set(config.to_dict()) == {field.name for field in dataclasses.fields(ModelConfig)}


def test_missing_settings_of_a_network_take_their_defaults():
    assert ModelConfig.from_dict({}) == ModelConfig()


@pytest.mark.parametrize("kind", [Preprocessing, Labels])
def test_missing_settings_without_a_default_are_refused(kind):
    with pytest.raises(ConfigError, match=kind.__name__):
        kind.from_dict({})


@pytest.mark.parametrize("example", EXAMPLES)
def test_unknown_settings_are_refused_by_name(example):
    values = {**dataclasses.asdict(example), "zeal": 1, "colour": 2}

    with pytest.raises(ConfigError, match="has no colour, zeal; it has "):
        type(example).from_dict(values)


@pytest.mark.parametrize("value", [None, "0.5", 0.5, (0.5, None, 0.5), (0.5, "half", 0.5)])
def test_statistics_of_another_type_are_a_setting_that_cannot_work(value):
    with pytest.raises(ConfigError):
        Preprocessing.from_dict({**FEED, "mean": value})


@pytest.mark.parametrize("value", [None, "1", [1]])
def test_label_ends_of_another_type_are_a_setting_that_cannot_work(value):
    with pytest.raises(ConfigError):
        Labels.from_dict({**RANGE, "low": value})


@pytest.mark.parametrize("example", EXAMPLES)
def test_settings_are_frozen(example):
    name = dataclasses.fields(example)[0].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(example, name, getattr(example, name))
    assert hash(example) == hash(dataclasses.replace(example))


def test_a_setting_that_cannot_work_is_also_a_value_error():
    with pytest.raises(ValueError, match="dropout"):
        ModelConfig(dropout=2)
