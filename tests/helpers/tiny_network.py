"""Small random networks of every kind, for the tests that build, export or compare them."""

import torch

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.config import Labels, ModelConfig, Preprocessing
from lifeiqa.model import LifeIQA, ScoringModel

# Tables IV, V and VI, both variants, and the extremes of E and K.
ABLATIONS = {
    "paper": {},
    "official": {"variant": "official"},
    "gcn-to-attention": {"mixer": "attention"},
    "moe-to-ffn": {"head": "ffn"},
    "vanilla-decoder": {"mixer": "attention", "head": "ffn"},
    "official-one-expert": {"variant": "official", "head": "ffn"},
    "without-stage3": {"memory_stage": None},
    "without-moe": {"head": "none"},
    "without-gcn": {"mixer": "none"},
    # timm prunes what lies behind the last stage in this family, not in EfficientNet.
    "stage2-to-stage1": {"backbone": "test_convnext", "query_stage": 2, "memory_stage": 1},
    "linear-probe": {"mixer": "none", "memory_stage": None, "depth": 0, "head": "none"},
    "one-of-eight": {"experts": 8, "top_k": 1},
    "all-of-three": {"experts": 3, "top_k": 3},
}


def tiny_config(**changes):
    """A network of 100,000 parameters on a backbone that timm has for tests."""
    defaults = {
        "backbone": "test_efficientnet",
        "crop_size": 112,
        "dim": 32,
        "heads": 4,
        "depth": 2,
        "ffn_hidden": 64,
    }
    return ModelConfig(**{**defaults, **changes})


LABELS = Labels(dataset="random", low=0.0, high=1.0)


def tiny_model(**changes):
    """A random scoring model in evaluation mode, in a range of 0..1."""
    network = LifeIQA(tiny_config(**changes))
    return ScoringModel(network, tiny_preprocessing(network), LABELS).eval()


def tiny_preprocessing(network):
    backbone = network.backbone
    return Preprocessing(mean=backbone.mean, std=backbone.std, short_side=256)


def tiny_manifest(model, labels=LABELS):
    """The manifest of a checkpoint of a tiny model."""
    return Manifest(
        name="tiny",
        kind="checkpoint",
        config=model.network.config,
        preprocessing=tiny_preprocessing(model.network),
        labels=labels,
    )


def liven(model, crops):
    """Give a random network what a trained one has: features and scores that differ by image.

    Statistics of batch normalisation come from the crops, the router prefers clearly, and scores
    spread by 0.03 around 0.5. Without it the scores of different images lie closer than the
    steps of float16, and a rank correlation between two runtimes says nothing.
    """
    batch = torch.from_numpy(crops)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        model.train()(batch)
        head = model.eval().network.head
        if head.router is not None:
            head.router.sharpen(16.0)
        scores = model(batch).score
        factor = 0.03 / scores.std()
        head.score.weight.mul_(factor)
        head.score.bias.mul_(factor).add_(0.5 - factor * scores.mean())


def random_crops(count, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(
        0, 256, (count, size, size, 3), dtype=torch.uint8, generator=generator
    ).numpy()
