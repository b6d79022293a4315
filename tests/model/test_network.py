"""The network as a whole: sizes, ablations, backbones, gradients, precision of the router."""

import pytest
import torch

from helpers.tiny_network import ABLATIONS, tiny_config
from lifeiqa.config import ModelConfig
from lifeiqa.errors import ConfigError
from lifeiqa.model import LifeIQA
from lifeiqa.model.losses import load_balance_loss, router_z_loss, score_loss


@pytest.mark.parametrize(("experts", "parameters"), [(4, 94_950_334), (8, 99_678_146)])
def test_official_swin_base_has_the_published_number_of_parameters(experts, parameters):
    network = LifeIQA(ModelConfig(variant="official", backbone="swin_base", experts=experts))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_gives_one_score_a_crop(name):
    config = tiny_config(**ABLATIONS[name])
    network = LifeIQA(config).eval()
    prediction = network(torch.randn(3, 3, config.crop_size, config.crop_size))
    assert prediction.score.shape == (3,)
    assert prediction.token_scores.shape == (3, config.queries)
    torch.testing.assert_close(prediction.score, prediction.token_scores.mean(1))
    if config.head == "moe":
        assert prediction.routing.logits.shape == (3, config.queries, config.experts)
        assert (prediction.routing.mask.sum(-1) == config.top_k).all()
    else:
        assert prediction.routing is None


@pytest.mark.parametrize("name", ABLATIONS)
def test_gradients_reach_every_parameter(name):
    torch.manual_seed(0)
    # Many queries far apart, so that an untrained router uses every expert.
    config = tiny_config(**{"queries": 24, "grid": 3, **ABLATIONS[name]})
    network = LifeIQA(config).train()
    torch.nn.init.normal_(network.decoder.queries)
    images = torch.randn(16, 3, config.crop_size, config.crop_size)
    prediction = network(images)
    loss = score_loss(prediction.score, torch.rand(16))
    if prediction.routing is not None:
        loss = loss + load_balance_loss(prediction.routing) + router_z_loss(prediction.routing)
    loss.backward()
    without = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    if config.head == "moe":  # stacked: every expert has a gradient of its own
        body = network.head.body
        for parameter in (body.up, body.up_bias, body.down, body.down_bias):
            assert parameter.grad.flatten(1).any(1).all()


@pytest.mark.parametrize(
    ("backbone", "stages"),
    [
        ("lite0", (4, 3)),
        ("lite2", (4, 3)),
        ("swin_tiny", (4, 3)),
        ("swin_small", (4, 3)),
        ("resnet50", (4, 3)),
        ("mobilenetv3_large_100", (4, 3)),
        ("maxvit_tiny_tf_224", (4, 3)),
        ("vit_tiny_patch16_224", (3, 2)),
    ],
)
def test_backbones_give_their_stages(backbone, stages):
    config = tiny_config(
        backbone=backbone, crop_size=224, query_stage=stages[0], memory_stage=stages[1]
    )
    network = LifeIQA(config).eval()
    with torch.inference_mode():
        assert network(torch.randn(1, 3, 224, 224)).score.shape == (1,)


@pytest.mark.parametrize(("query", "memory"), [(2, 1), (3, 1), (3, 2), (4, 1), (4, 2), (1, 0)])
def test_any_pair_of_stages_interacts(query, memory):
    config = tiny_config(query_stage=query, memory_stage=memory, grid=3)
    network = LifeIQA(config).eval()
    assert network(torch.randn(2, 3, config.crop_size, config.crop_size)).score.shape == (2,)


def test_a_window_transformer_takes_another_crop_size():
    config = tiny_config(backbone="swin_tiny", crop_size=160, grid=5)
    with torch.inference_mode():
        assert LifeIQA(config).eval()(torch.randn(1, 3, 160, 160)).score.shape == (1,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"query_stage": 7}, ["no stage 7", "0, 1, 2, 3, 4"]),
        ({"memory_stage": 9}, ["no stage 9"]),
        ({"backbone": "resnet51"}, ["'resnet51'"]),
        ({"memory_stage": 4, "grid": 12}, ["grid 12", "at most"]),
    ],
)
def test_what_a_backbone_lacks_is_refused_with_the_values(changes, words):
    with pytest.raises(ConfigError) as caught:
        LifeIQA(tiny_config(**changes))
    assert all(word in str(caught.value) for word in words)


def test_the_router_computes_in_float32_under_autocast():
    config = tiny_config()
    network = LifeIQA(config).eval()
    images = torch.randn(2, 3, config.crop_size, config.crop_size)
    features = network.extract(images)
    with torch.autocast("cpu", torch.bfloat16):
        routing = network.decode(features).routing
    assert routing.logits.dtype == torch.float32
    router = network.head.router
    exact = routing.inputs @ router.weight + router.bias
    torch.testing.assert_close(routing.logits, exact, rtol=0, atol=0)


def test_evaluation_is_repeatable_and_leaves_batch_statistics_alone():
    config = tiny_config()
    network = LifeIQA(config)
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    images = torch.randn(2, 3, config.crop_size, config.crop_size)
    network.eval()
    assert torch.equal(network(images).score, network(images).score)
    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())
