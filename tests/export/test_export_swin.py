"""The paper's own network at full size, with random weights, through the whole export."""

import pytest
import torch
from PIL import Image

from lifeiqa.artifacts.manifest import Manifest, read_manifest
from lifeiqa.config import Labels, ModelConfig, Preprocessing
from lifeiqa.data.distortions import distort
from lifeiqa.data.images import PARITY_DISTORTIONS
from lifeiqa.model import LifeIQA
from lifeiqa.model.checkpoint import save_checkpoint
from lifeiqa.preprocess.decode import decode
from lifeiqa_export.export import export_checkpoint
from lifeiqa_export.photographs import photographs


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    network = LifeIQA(ModelConfig(backbone="swin_base"))
    path = tmp_path_factory.mktemp("swin") / "swin_base-random.safetensors"
    manifest = Manifest(
        name="swin_base-random",
        kind="checkpoint",
        config=network.config,
        preprocessing=Preprocessing(mean=network.backbone.mean, std=network.backbone.std),
        labels=Labels(dataset="random", low=0.0, high=1.0),
    )
    save_checkpoint(path, network, manifest)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A quarter of the default images: at this size a crop takes a quarter of a second."""
    folder = tmp_path_factory.mktemp("images")
    for path in photographs()[::4]:
        pixels = decode(path)
        for kind, strength in PARITY_DISTORTIONS:
            distorted = Image.fromarray(distort(pixels, kind, strength))
            distorted.save(folder / f"{path.stem}-{kind}-{strength}.png")
    return folder


@pytest.mark.long
def test_swin_base_becomes_fp16_within_tolerance(checkpoint, images, tmp_path):
    exported = export_checkpoint(checkpoint, tmp_path, precision="fp16", images=images)
    print(exported.parity)
    assert exported.parity.failures == []
    assert [link.name for link in exported.parity.links[:3]] == [
        "sparse -> dense",
        "dense -> gathered",
        "gathered -> ONNX FP32",
    ]
    assert read_manifest(exported.path).config.backbone == "swin_base"
    # Half of the 385 MB of the float32 weights, and little more.
    assert 180e6 < exported.path.stat().st_size < 210e6
