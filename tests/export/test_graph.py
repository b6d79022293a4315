"""The exported graph: its contract, its operators, its types."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from helpers.tiny_network import tiny_model
from lifeiqa.errors import ExportError
from lifeiqa.model.float16_weights import round_weights_to_fp16
from lifeiqa.runtimes.base import INPUT, OUTPUT, ROUTER_WEIGHT
from lifeiqa_export.dense import densify
from lifeiqa_export.graph import DATA_DEPENDENT, OPSET, onnx_from_model, store_as_float16
from lifeiqa_export.half import to_half

FLOAT, FLOAT16, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.UINT8


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return densify(tiny_model())


@pytest.fixture(scope="module")
def fp32(model):
    return onnx_from_model(model)


@pytest.fixture(scope="module")
def fp16(model):
    return onnx_from_model(to_half(model))


def shape_of(value):
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_contract_is_uint8_crops_to_float32_scores(precision, request):
    graph = request.getfixturevalue(precision).graph
    (crops,), (score,) = graph.input, graph.output
    assert (crops.name, crops.type.tensor_type.elem_type) == ("crops", UINT8)
    assert shape_of(crops) == ["batch", 112, 112, 3]
    assert (score.name, score.type.tensor_type.elem_type) == ("score", FLOAT)
    assert shape_of(score) == ["batch"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_no_shape_depends_on_the_data(precision, request):
    proto = request.getfixturevalue(precision)
    assert not {node.op_type for node in proto.graph.node} & DATA_DEPENDENT
    assert proto.opset_import[0].version == OPSET


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_graph_knows_nothing_of_the_machine_that_made_it(precision, request):
    graph = request.getfixturevalue(precision).SerializeToString()
    assert b"site-packages" not in graph
    assert b".py" not in graph


def test_the_cast_of_the_pixels_comes_before_the_transpose(fp32):
    first = next(node for node in fp32.graph.node if "crops" in node.input)
    assert first.op_type == "Cast"


def test_layer_norm_and_gelu_are_single_nodes():
    model = densify(tiny_model(head="ffn"))
    operators = Counter(node.op_type for node in onnx_from_model(model).graph.node)
    assert operators["Gelu"] == 1
    assert operators["LayerNormalization"] == 3  # one a decoder layer, one before the head
    assert not {"Erf", "Dropout", "Identity", "BatchNormalization"} & operators.keys()


def test_fp16_is_in_the_graph_and_the_router_is_not(fp16):
    weights = {weight.name: weight.data_type for weight in fp16.graph.initializer}
    router = {name: kind for name, kind in weights.items() if ".router." in name}
    assert len(router) == 2
    assert set(router.values()) == {FLOAT}
    experts = [kind for name, kind in weights.items() if name.endswith(("body.up", "body.down"))]
    assert experts == [FLOAT16, FLOAT16]
    values = onnx.shape_inference.infer_shapes(fp16, strict_mode=True).graph.value_info
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    assert kinds["router_inputs"] == kinds["router_logits"] == FLOAT
    products = [n for n in fp16.graph.node if n.op_type in ("Conv", "MatMul", "Gemm")]
    halves = [node for node in products if kinds.get(node.output[0]) == FLOAT16]
    assert len(products) - len(halves) == 2  # the router and the last product


def test_a_static_batch_is_in_the_graph(model):
    proto = onnx_from_model(model, batch=3)
    assert shape_of(proto.graph.input[0]) == [3, 112, 112, 3]


def test_a_sparse_model_is_refused(model):
    sparse = tiny_model()
    with pytest.raises(ExportError, match=r"cannot export|densify"):
        onnx_from_model(sparse)


def test_weights_that_float16_holds_are_stored_as_float16_and_scores_stay_the_same():
    torch.manual_seed(0)
    model = tiny_model()
    round_weights_to_fp16(model.network)
    plain = onnx_from_model(densify(model))
    stored = onnx.ModelProto.FromString(plain.SerializeToString())
    store_as_float16(stored)

    onnx.checker.check_model(stored, full_check=True)
    kinds = {weight.name: weight.data_type for weight in stored.graph.initializer}
    (router,) = [name for name in kinds if name.endswith(ROUTER_WEIGHT)]
    assert kinds[router] == FLOAT
    assert FLOAT16 in kinds.values()
    assert stored.ByteSize() < 0.75 * plain.ByteSize()
    size = model.network.config.crop_size
    crops = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    scores = [
        onnxruntime.InferenceSession(proto.SerializeToString()).run([OUTPUT], {INPUT: crops})[0]
        for proto in (plain, stored)
    ]
    np.testing.assert_array_equal(*scores)


def test_weights_that_float16_does_not_hold_are_left_alone(fp32):
    plain = onnx.ModelProto.FromString(fp32.SerializeToString())
    for weight in plain.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if weight.data_type == FLOAT and values.size > 1:
            weight.CopyFrom(onnx.numpy_helper.from_array(values + np.float32(1e-4), weight.name))
    stored = onnx.ModelProto.FromString(plain.SerializeToString())
    store_as_float16(stored)
    assert stored == plain
