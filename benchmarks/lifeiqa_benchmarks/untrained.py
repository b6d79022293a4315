"""An untrained checkpoint: the size and speed of a network, without the worth of its scores.

``python -m lifeiqa_benchmarks.untrained swin_base swin_base.safetensors``
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.config import Labels, ModelConfig, Preprocessing
from lifeiqa.model import LifeIQA
from lifeiqa.model.checkpoint import save_checkpoint


def write_untrained(backbone: str, path: Path) -> None:
    """Write the paper's network on a backbone, with the same random weights every time."""
    torch.manual_seed(0)
    network = LifeIQA(ModelConfig(backbone=backbone))
    manifest = Manifest(
        name=path.stem,
        kind="checkpoint",
        config=network.config,
        preprocessing=Preprocessing(mean=network.backbone.mean, std=network.backbone.std),
        labels=Labels(dataset="none: untrained", low=0.0, high=1.0),
    )
    save_checkpoint(path, network, manifest)


if __name__ == "__main__":
    write_untrained(sys.argv[1], Path(sys.argv[2]))
