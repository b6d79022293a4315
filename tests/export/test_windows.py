"""A Swin with its windows gathered equals timm's, for every size and in every form after it."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch

from helpers.tiny_network import random_crops, tiny_model, tiny_preprocessing
from lifeiqa.data.images import parity_crops
from lifeiqa.model.float16_weights import round_weights_to_fp16
from lifeiqa_export.dense import densify
from lifeiqa_export.graph import onnx_from_model
from lifeiqa_export.half import to_half
from lifeiqa_export.photographs import photographs
from lifeiqa_export.windows import GatheredSwin, gather_windows

SIZES = {
    "windows of 7 on maps of 14, 7, 4 and 2": {"img_size": 56},
    "windows that divide no map": {"img_size": 64, "window_size": 5},
    "maps of odd sides": {"img_size": 36},
    "oblong maps and windows": {"img_size": (60, 44), "window_size": (4, 3)},
    "a window for each stage": {"img_size": 56, "window_size": (7, 4, 2, 2)},
    "windows larger than the map, shifted all the same": {
        "img_size": 28,
        "window_size": 9,
        "always_partition": True,
    },
    "masks made when they are needed": {"img_size": 64, "window_size": 4, "dynamic_img_size": True},
    "no bias, heads of another width": {"img_size": 56, "qkv_bias": False, "head_dim": 6},
}


def livened(module):
    """Give biases, position tables and attention the spread that training gives them."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in module.named_parameters():
        if parameter.ndim == 1 or name.endswith("bias_table"):
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
        elif name.endswith("qkv.weight"):
            parameter.data *= 4
    return module


def small_swin(**options):
    torch.manual_seed(0)
    settings = {"embed_dim": 16, "depths": (2, 2, 3, 2), "num_heads": (2, 4, 4, 8)}
    swin = timm.create_model(
        "swin_tiny_patch4_window7_224", features_only=True, **settings | options
    )
    return livened(swin).eval()


def assert_maps_equal(ours, theirs):
    assert [m.shape for m in ours] == [m.shape for m in theirs]
    for our, their in zip(ours, theirs, strict=True):
        assert (our - their).abs().max() <= 2e-6 * their.abs().max()


@pytest.mark.parametrize("name", SIZES)
@torch.inference_mode()
def test_every_map_equals_that_of_timm(name):
    swin = small_swin(**SIZES[name])
    size = SIZES[name]["img_size"]
    images = torch.randn(3, 3, *(size if isinstance(size, tuple) else (size, size)))
    assert_maps_equal(GatheredSwin(swin)(images), swin(images))


@pytest.mark.parametrize("indices", [(3, 2), (1, 3), (0,), (2, 0, 1)])
@torch.inference_mode()
def test_the_maps_asked_for_come_in_the_order_of_timm(indices):
    swin = small_swin(img_size=56, out_indices=indices)
    images = torch.randn(2, 3, 56, 56)
    assert_maps_equal(GatheredSwin(swin)(images), swin(images))


def dense_swin_tiny(crop_size):
    torch.manual_seed(0)
    return densify(livened(tiny_model(backbone="swin_tiny", crop_size=crop_size)))


@pytest.fixture(scope="module")
def dense():
    """On crops of 112, a quarter of the work: maps of 28 and 14 with windows shifted, 7 and 4."""
    return dense_swin_tiny(112)


@pytest.fixture(scope="module")
def gathered(dense):
    return gather_windows(dense)


@pytest.fixture(scope="module")
def exported():
    """What is exported, at the size of the paper."""
    return gather_windows(dense_swin_tiny(224))


@pytest.fixture(scope="module")
def fp32(exported):
    return onnx_from_model(exported)


@torch.inference_mode()
def test_scores_of_photographs_and_noise_are_the_same(dense, gathered):
    preprocessing = tiny_preprocessing(dense.network)
    photos = parity_crops(photographs()[::2], preprocessing, 112, distort=False)
    crops = torch.from_numpy(np.concatenate([photos, random_crops(2, 112)]))
    ours, theirs = gathered(crops).score, dense(crops).score
    assert (ours - theirs).abs().max() <= 1e-5  # of a range of 1
    images = dense.normalise(crops)
    assert_maps_equal(gathered.network.backbone(images), dense.network.backbone(images))


def test_weights_are_shared_and_the_model_is_left_alone(dense, gathered):
    assert any(hasattr(module, "relative_position_bias_table") for module in dense.modules())
    ours, theirs = ({id(p): p for p in model.parameters()} for model in (gathered, dense))
    copies = [p for key, p in ours.items() if key not in theirs]
    tables = [p for key, p in theirs.items() if key not in ours]
    assert len(copies) == 2 * 12  # weight and bias of the projection of each block
    assert len(tables) == 3 * 12  # and the table, which became a constant


def test_other_backbones_pass_untouched():
    for backbone in ("test_efficientnet", "test_convnext"):
        model = tiny_model(backbone=backbone)
        assert gather_windows(model) is model


def test_halving_rounds_the_weights_that_it_rounds_without_it(dense, gathered):
    ours, theirs = to_half(gathered), to_half(dense)
    stages = list(theirs.network.backbone.features.values())[1:]
    kernel = "network.backbone.features.patch_embed.proj.weight"
    assert torch.equal(ours.get_parameter(kernel), theirs.get_parameter(kernel))
    for our, their in zip(ours.network.backbone.features.stages, stages, strict=True):
        for block, original in zip(our.blocks, their.blocks, strict=True):
            attention = original.attn
            channels = attention.qkv.in_features
            weight, expected = block.qkv.weight, attention.qkv.weight
            assert torch.equal(weight[channels:], expected[channels:])
            assert torch.equal(block.proj.weight, attention.proj.weight)
            assert torch.equal(block.mlp.fc1.weight, original.mlp.fc1.weight)
            # The scale was there before rounding, so a query's weight is rounded but once.
            error = weight[:channels].float() / attention.scale - expected[:channels].float()
            assert error.abs().max() <= 2**-10 * expected[:channels].abs().max()
            assert block.bias.dtype == torch.float16
            assert block.query.dtype == torch.int32


@torch.inference_mode()
def test_half_precision_drifts_no_further(dense, gathered):
    settled = densify(dense)
    settled.load_state_dict(
        {name: t.clone() for name, t in dense.state_dict().items()}, assign=True
    )
    round_weights_to_fp16(settled.network)
    images = settled.normalise(torch.from_numpy(random_crops(2, 112)))
    exact = settled.network.backbone(images)
    drifts = []
    for model in (settled, gather_windows(settled)):
        maps = to_half(model).network.backbone(images.half())
        drifts.append([(m.float() - e).norm() / e.norm() for m, e in zip(maps, exact, strict=True)])
    for before, after in zip(*drifts, strict=True):
        assert after <= 1.1 * before


def test_the_graph_holds_gathers_and_single_nodes(fp32):
    operators = Counter(node.op_type for node in fp32.graph.node)
    rolls = {"Slice", "Concat", "Split", "Pad", "Erf", "Div", "Identity", "Dropout"}
    assert not rolls & operators.keys()
    decoder_layers = 2
    assert operators["Gather"] == 4 * 12 + 3  # query, key, value and back; patch merging
    assert operators["LayerNormalization"] == 2 * 12 + 3 + 1 + decoder_layers + 1
    assert operators["Gelu"] == 12
    shapes = {tuple(weight.dims) for weight in fp32.graph.initializer}
    assert (1, 64 * 3, 49, 49) in shapes  # bias and mask of a shifted block as one constant
    assert (1, 3, 49, 49) in shapes


@torch.inference_mode()
def test_onnx_runtime_equals_pytorch_at_every_batch_size(fp32, exported):
    session = onnxruntime.InferenceSession(
        fp32.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    crops = random_crops(5, 224)
    expected = exported(torch.from_numpy(crops)).score.numpy()
    for batch in (1, 2, 5):
        (scores,) = session.run(["score"], {"crops": crops[:batch]})
        np.testing.assert_allclose(scores, expected[:batch], rtol=0, atol=1e-5)


def test_tensorrt_builds_the_half_precision_graph(exported):
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX builds without a GPU")
    graph = onnx_from_model(to_half(exported))
    kinds = {weight.data_type for weight in graph.graph.initializer if len(weight.dims) == 4}
    assert kinds == {onnx.TensorProto.FLOAT16}  # the kernel, and bias and mask
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    parsed = parser.parse(graph.SerializeToString())
    assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    profile = builder.create_optimization_profile()
    profile.set_shape("crops", *((batch, 224, 224, 3) for batch in (1, 8, 32)))
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    assert engine is not None
    assert engine.nbytes > 50e6
