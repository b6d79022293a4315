"""Whole networks in half precision, really built by TensorRT-RTX, without a GPU.

What they score is shown on a GPU alone. Here their graphs pass the parser and the compiler, and
their plans hold the weights in float16.
"""

import dataclasses

import onnx
import pytest
import torch

from lifeiqa.artifacts.engine_info import BatchProfile, Tensor
from lifeiqa.artifacts.manifest import Manifest, read_manifest, write_with_sidecar
from lifeiqa.config import Labels, ModelConfig, Preprocessing
from lifeiqa.model import LifeIQA, ScoringModel
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.weights import bundled
from lifeiqa_engines import check_onnx, engine_from_onnx
from lifeiqa_export.dense import densify
from lifeiqa_export.graph import onnx_from_model
from lifeiqa_export.half import to_half

KERNELS = 6e6
"""Bytes that a plan of TensorRT-RTX needs for one profile, however few its weights are."""


def trained():
    return load_checkpoint(bundled(suffix=".safetensors"))


def untrained(backbone):
    torch.manual_seed(0)
    network = LifeIQA(ModelConfig(backbone=backbone)).eval()
    return network, Manifest(
        name=f"{backbone}-random",
        kind="checkpoint",
        config=network.config,
        preprocessing=Preprocessing(mean=network.backbone.mean, std=network.backbone.std),
        labels=Labels(dataset="random", low=0.0, high=1.0),
    )


def write_half(folder, network, manifest, batch):
    """The float16 file of lifeiqa-export, without its measurements, which take minutes."""
    model = ScoringModel(network, manifest.preprocessing, manifest.labels).eval()
    graph = onnx_from_model(to_half(densify(model)), batch=batch)
    described = dataclasses.replace(
        manifest, kind="onnx", precision="fp16", batch=batch, opset=20, files={}
    )
    path = folder / f"{manifest.name}.fp16.onnx"
    write_with_sidecar(path, described, lambda temporary: onnx.save(graph, temporary))
    return path


# A graph of one batch is exported faster, so that is the form of the largest.
@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("fast", None),
        ("swin_tiny", None),
        pytest.param("swin_base", 8, marks=pytest.mark.long),
    ],
)
def test_a_network_in_half_precision_builds(name, batch, tmp_path):
    network, manifest = trained() if name == "fast" else untrained(name)
    weights = sum(parameter.numel() for parameter in network.parameters())
    path = write_half(tmp_path, network, manifest, batch)

    assert check_onnx(path, runtime="tensorrt-rtx")
    engine = engine_from_onnx(
        path,
        tmp_path,
        runtime="tensorrt-rtx",
        target="sm89",
        profiles=[BatchProfile.fixed(8)],
    )

    plan = engine.path.read_bytes()
    assert plan[1:4] == b"trt"
    # Two bytes for a weight and some for kernels, which grow with the network. Four would exceed
    # this: the bundled model in float32 gives 16.3 MB, against 12.3 MB and a bound of 16.1 MB.
    assert 2 * weights < len(plan) < 3 * weights + KERNELS
    info = read_manifest(engine.path).engine
    size = manifest.config.crop_size
    assert info.tensors == (
        Tensor(name="crops", type="uint8", shape=(batch or -1, size, size, 3)),
        Tensor(name="score", type="float32", shape=(batch or -1,)),
    )
    assert info.arithmetic["float16"] > 5 * info.arithmetic["float32"]
    assert info.profiles == (BatchProfile.fixed(8),)
    fixed = f".b{batch}" if batch else ""
    assert engine.path.name == f"{manifest.name}.fp16.tensorrt-rtx.sm89{fixed}.engine"
