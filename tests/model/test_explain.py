"""Explanations: what is drawn is what the network computed."""

import numpy as np
import pytest
import torch

from helpers import tiny
from helpers.raster import encoded, pattern
from helpers.tiny_network import (
    ABLATIONS,
    liven,
    random_crops,
    tiny_manifest,
    tiny_model,
    tiny_preprocessing,
)
from lifeiqa.errors import ConfigError
from lifeiqa.model.checkpoint import save_checkpoint
from lifeiqa.model.decoder import Attention
from lifeiqa.model.explain import explain, explain_file
from lifeiqa.parity.observe import chosen_experts
from lifeiqa.preprocess.crops import crops_from_pixels, with_plan
from lifeiqa.runtimes.pytorch.session import PyTorchSession
from lifeiqa.scorer import Scorer

PIXELS = pattern(300, 420)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = tiny_model(grid=6)
    liven(model, random_crops(8, 112))
    return model


def explained(model, pixels=PIXELS, crops="five"):
    return explain(model, pixels, with_plan(tiny_preprocessing(model.network), crops))


@torch.no_grad()
def test_attention_weights_times_the_values_are_the_attentions_output():
    torch.manual_seed(0)
    attention = Attention(dim=8, heads=2)
    tokens, memory = torch.randn(3, 4, 8), torch.randn(3, 5, 8)
    weights = attention.weights(tokens, memory)
    values = attention.value(memory)

    assert weights.shape == (3, 2, 4, 5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 4))
    mixed = torch.zeros(3, 4, 8)
    for crop, query, channel in np.ndindex(3, 4, 8):
        head = channel // 4
        mixed[crop, query, channel] = sum(
            weights[crop, head, query, cell] * values[crop, cell, channel] for cell in range(5)
        )
    torch.testing.assert_close(attention(tokens, memory), attention.out(mixed))


@torch.no_grad()
def test_attention_is_that_of_each_layer_in_its_turn(model):
    found = explained(model)
    network = model.network
    crops = crops_from_pixels(PIXELS, tiny_preprocessing(network), 112)
    features = network.extract(model.normalise(torch.from_numpy(crops)))
    memory = network.decoder.project(features.memory)
    tokens = network.decoder.guide(features.query).unsqueeze(1) + network.decoder.queries

    assert found.attention.shape == (5, 2, 4, 6, 6, 6)
    for index, layer in enumerate(network.decoder.layers):
        tokens = tokens + layer.mixer(tokens)
        weights = layer.attention.weights(layer.norm(tokens), memory)
        np.testing.assert_allclose(
            found.attention[:, index].reshape(weights.shape), weights, rtol=1e-4, atol=1e-6
        )
        tokens = tokens + layer.attention(layer.norm(tokens), memory)
    np.testing.assert_allclose(found.attention.sum((-2, -1)), 1, rtol=1e-5)


@pytest.mark.parametrize("shape", [(300, 420), (90, 200), (112, 112), (500, 130)])
def test_the_score_is_the_scorers(model, shape):
    pixels = pattern(*shape)
    with Scorer(PyTorchSession(model, tiny_manifest(model))) as scorer:
        expected = scorer.score(pixels)

    found = explained(model, pixels)

    assert found.score == expected.value
    assert tuple(found.scores.tolist()) == expected.crops


def test_the_token_scores_of_a_crop_average_to_its_score(model):
    found = explained(model)

    assert found.token_scores.shape == (5, 6)
    np.testing.assert_allclose(found.token_scores.mean(1), found.scores, rtol=1e-6)


def test_the_experts_are_the_largest_logits_and_their_weights_the_routers(model):
    found = explained(model)
    crops = crops_from_pixels(PIXELS, tiny_preprocessing(model.network), 112)
    _, trace = PyTorchSession(model, tiny_manifest(model)).run_traced(crops)
    logits = trace.logits

    assert found.mask.shape == logits.shape == (5, 6, 4)
    np.testing.assert_array_equal(found.mask, chosen_experts(logits, 2))
    for g, p, w, chosen in zip(
        *(a.reshape(-1, 4) for a in (logits, found.probabilities, found.weights, found.mask)),
        strict=True,
    ):
        powers = [np.exp(value - g.max()) for value in g.astype(float)]
        np.testing.assert_allclose(p, np.array(powers) / sum(powers), rtol=1e-5)
        kept = [power if yes else 0 for power, yes in zip(powers, chosen, strict=True)]
        np.testing.assert_allclose(w, np.array(kept) / sum(kept), rtol=1e-5)


@pytest.mark.parametrize("plan", ["center", "five", "grid:2", "random:3:1"])
def test_the_windows_are_where_the_crops_lie_in_the_image(model, plan):
    found = explained(model, crops=plan)
    preprocessing = with_plan(tiny_preprocessing(model.network), plan)

    cut = [found.image[top : top + 112, left : left + 112] for top, left in found.windows]
    np.testing.assert_array_equal(cut, crops_from_pixels(PIXELS, preprocessing, 112))


def test_more_crops_than_a_batch_are_explained_as_each_alone(model):
    found = explained(model, crops="grid:6")
    alone = explained(model, crops="center")
    few = explained(model, crops="grid:2")

    assert len(found.windows) == len(found.scores) == len(found.attention) == 36
    assert found.windows[-1] == few.windows[-1]
    np.testing.assert_allclose(found.attention[-1], few.attention[-1], rtol=1e-4, atol=1e-6)
    assert alone.attention.shape == (1, 2, 4, 6, 6, 6)


def test_the_edges_of_the_cells_are_those_of_the_pooling(model):
    """The attended map has 7 x 7 samples of 16 pixels, so that 6 cells of them are uneven."""
    assert model.network.pool.rows.shape == (6, 7)
    averaged = [row.nonzero().flatten().tolist() for row in model.network.pool.rows]

    edges = explained(model).edges

    assert edges == (*(16 * cell[0] for cell in averaged), 112)


@pytest.mark.parametrize("name", sorted(set(ABLATIONS) - {"linear-probe"}))
def test_every_network_is_explained_by_what_it_has(name):
    model = tiny_model(**ABLATIONS[name])
    config = model.network.config

    found = explained(model, crops="center")

    assert (found.attention is None) == (config.memory_stage is None)
    assert (found.edges == ()) == (config.memory_stage is None)
    assert (found.probabilities is None) == (found.mask is None) == (config.head != "moe")
    assert (found.weights is None) == (config.head != "moe")
    assert found.token_scores.shape == (1, 6)


def test_a_network_with_nothing_to_show_is_refused():
    with pytest.raises(ConfigError, match="neither cross-attention nor experts"):
        explained(tiny_model(**ABLATIONS["linear-probe"]))


def test_the_model_is_left_without_hooks(model):
    explained(model)

    assert not any(module._forward_pre_hooks for module in model.modules())


def test_hooks_are_gone_when_the_network_fails(model, monkeypatch):
    def fail(_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model.network.head, "forward", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        explained(model)

    assert not any(module._forward_pre_hooks for module in model.modules())


def test_the_record_for_machines_has_one_entry_a_crop(model):
    found = explained(model)

    record = found.to_dict()

    assert record["score"] == found.score
    assert [(crop["top"], crop["left"]) for crop in record["crops"]] == list(found.windows)
    last = record["crops"][-1]
    np.testing.assert_allclose(last["attention"], found.attention[-1].mean(1))
    np.testing.assert_allclose(last["expert_weights"], found.weights[-1])
    assert last["token_scores"] == found.token_scores[-1].tolist()


def test_a_checkpoint_is_explained_under_its_own_plan_or_another(model, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, model.network, tiny_manifest(model))
    photo = encoded(PIXELS, "PNG")

    assert explain_file(path, photo).score == explained(model).score
    assert explain_file(path, photo, crops="center").score == explained(model, crops="center").score


def test_an_onnx_file_is_refused_with_what_to_do(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")

    with pytest.raises(ConfigError, match="does not output its attention") as refused:
        explain_file(path, encoded(PIXELS, "PNG"))
    assert ".safetensors checkpoint" in str(refused.value)
