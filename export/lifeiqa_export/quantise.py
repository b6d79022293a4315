"""An INT8 form of an exported graph: which layers, their ranges, and the graph with its QDQ pairs.

The recipe was chosen by measurement, see ``benchmarks/results/int8.md``:

- Conv, and MatMul and Gemm with a constant matrix, are quantised. Experts are not, since their
  weights are a stack of matrices, for which ONNX Runtime has no kernel with a scale per channel;
  nor are matrices thinner than `THINNEST`, the last product among them, which would save nothing.
- The router is never quantised: a near-tie that rounds the other way changes the expert.
- Weights are signed, symmetric, with a scale for each output channel; activations are unsigned
  with a zero point, in the range that the calibration crops filled.
- A convolution's output is quantised behind its activation, so that the range is that of what is
  used; without this the rank correlation with FP32 fell from 0.998 to 0.930 on the bundled model.
- A matrix product gives float32, which is what the sums and normalisations around it take.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from lifeiqa.errors import ExportError, require
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes.base import INPUT, OUTPUT, ROUTER_LOGITS, ROUTER_WEIGHT, Array, Scores
from lifeiqa.runtimes.batching import filled, pieces

RECIPE = (
    "QDQ by ONNX Runtime: activations uint8 from minimum to maximum, weights int8, symmetric, "
    "per output channel; matrix products give float32"
)
THINNEST = 16
"""Rows or columns below which a matrix product stays in float32."""
_WEIGHTED = ("Conv", "MatMul", "Gemm")
_ACTIVATIONS = ("Clip", "Relu")
_BATCH = 8


def layers_of(proto: onnx.ModelProto) -> list[str]:
    """The names of the nodes that may be quantised, in the order of the graph."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    return [node.name for node in proto.graph.node if _quantisable(node, shapes)]


def _quantisable(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> bool:
    if node.op_type not in _WEIGHTED or node.input[0] in shapes or node.input[1] not in shapes:
        return False
    if node.input[1].endswith(ROUTER_WEIGHT):
        return False
    shape = shapes[node.input[1]]
    return node.op_type == "Conv" or (len(shape) == 2 and min(shape) >= THINNEST)


def ranges_of(proto: onnx.ModelProto, crops: Pixels) -> Any:
    """The smallest and largest value of every tensor that may be quantised, on these crops."""
    tools = _tools()
    with tempfile.TemporaryDirectory(prefix="lifeiqa-calibration-") as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(proto, path)
        calibrator = tools.create_calibrator(
            path,
            [*_WEIGHTED, *_ACTIVATIONS],
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=tools.CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Reader(crops, _batch_of(proto)))
        return calibrator.compute_data()


def quantised(proto: onnx.ModelProto, ranges: Any, layers: Sequence[str]) -> onnx.ModelProto:
    """A copy of the graph in which these layers, and no others, compute in INT8.

    Args:
        proto: the float32 graph.
        ranges: of its tensors, see `ranges_of`.
        layers: names of nodes, some of `layers_of`.

    Raises:
        ExportError: the router did not come through untouched.
    """
    tools = _tools()
    # Types of all tensors are needed; the copy is changed in place.
    model = onnx.shape_inference.infer_shapes(proto)
    activations = [node.name for node in model.graph.node if node.op_type in _ACTIVATIONS]
    quantizer = tools.QDQQuantizer(
        model,
        True,  # a scale for each channel
        False,  # all 8 bits: the sums of VNNI and later instructions do not saturate
        tools.QuantType.QInt8,
        tools.QuantType.QUInt8,
        ranges,
        [*layers, *activations],
        [],
        [*_WEIGHTED, *_ACTIVATIONS],
        {
            "ActivationSymmetric": False,
            "WeightSymmetric": True,
            "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
        },
    )
    quantizer.quantize_model()
    result: onnx.ModelProto = quantizer.model.model
    _require_exact_router(proto, result)
    return result


def scores_of(proto: onnx.ModelProto, crops: Pixels) -> Scores:
    """What ONNX Runtime computes from a graph on a CPU, float32 ``(n,)``."""
    onnxruntime: Any = require("onnxruntime", extra="export", purpose="running a graph")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    batches = _pieces(crops, _batch_of(proto))
    scores: Scores = np.concatenate([session.run([OUTPUT], {INPUT: b})[0] for b in batches])
    return scores[: len(crops)]


def _tools() -> Any:
    return require("onnxruntime.quantization", extra="export", purpose="an INT8 graph")


class _Reader:
    """Crops as ONNX Runtime's calibration asks for them."""

    def __init__(self, crops: Pixels, batch: int | None) -> None:
        self._pieces = _pieces(crops, batch)

    def get_next(self) -> dict[str, Array] | None:
        piece = next(self._pieces, None)
        return None if piece is None else {INPUT: piece}


def _pieces(crops: Pixels, batch: int | None) -> Iterator[Pixels]:
    """Batches; those of a static graph are filled up with copies, which move no range."""
    for start, stop, size in pieces(len(crops), (batch or _BATCH,)):
        piece = crops[start:stop]
        yield piece if batch is None else filled(piece, size)


def _batch_of(proto: onnx.ModelProto) -> int | None:
    return proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value or None


def _require_exact_router(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    weights = [_router_weight(proto) for proto in (before, after)]
    if weights == [None, None]:
        return
    if weights[0] != weights[1] or _quantised_from(after, ROUTER_LOGITS):
        raise ExportError(
            "quantisation reached the router, whose choice of experts must stay exact. "
            "This is a bug: please report it with the configuration of the network"
        )


def _router_weight(proto: onnx.ModelProto) -> bytes | None:
    for tensor in proto.graph.initializer:
        if tensor.name.endswith(ROUTER_WEIGHT):
            return bytes(onnx.numpy_helper.to_array(tensor).tobytes())
    return None


def _quantised_from(proto: onnx.ModelProto, name: str) -> bool:
    """Whether the product that gives ``name`` takes quantised values, or its own are quantised."""
    producers = {output: node for node in proto.graph.node for output in node.output}
    node = producers.get(name)
    while node is not None and node.op_type in ("Cast", "Reshape", "Identity", "Add"):
        node = producers.get(node.input[0])
    if node is None:
        return True  # the logits lost their name, or come from nowhere
    inside = [producers[value] for value in node.input if value in producers]
    outside = [user for user in proto.graph.node if set(user.input) & {name, *node.output}]
    return any(n.op_type in ("QuantizeLinear", "DequantizeLinear") for n in inside + outside)
