"""From a PyTorch module to an ONNX graph whose contract is `uint8 crops in, float32 score out`."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from lifeiqa.artifacts.manifest import METADATA_KEY, Manifest
from lifeiqa.errors import ExportError
from lifeiqa.model.network import ScoringModel
from lifeiqa.runtimes.base import INPUT, OUTPUT, ROUTER_INPUTS, ROUTER_LOGITS, ROUTER_WEIGHT

OPSET = 20
"""The first operator set with Gelu as one node; LayerNormalization came with 17."""
DATA_DEPENDENT = frozenset(
    {"TopK", "ScatterElements", "ScatterND", "NonZero", "Loop", "If", "Scan"}
)
"""Operators of sparse routing, which compilers of static graphs refuse or run slowly."""
_MAX_BATCH = 4096
_WORTH_HALVING = 1024


class _Exported(nn.Module):
    """The score, and the two tensors of the router that the parity suite looks at."""

    def __init__(self, model: ScoringModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        score, _, routing = self.model(crops)
        return (score,) if routing is None else (score, routing.inputs, routing.logits)


def onnx_from_model(model: ScoringModel, *, batch: int | None = None) -> onnx.ModelProto:
    """Export a dense model.

    The graph takes ``crops``: uint8 ``(batch, S, S, 3)``, and gives ``score``: float32
    ``(batch,)`` in label units. The router's input and logits keep fixed names inside the graph,
    so that they can be made outputs when someone asks which experts were chosen.

    Args:
        model: as `lifeiqa_export.dense.densify` gives it, in the arithmetic to be exported.
        batch: the only batch size of a static graph; None for a dynamic one.

    Raises:
        ExportError: torch cannot export it, or the graph holds an operator of `DATA_DEPENDENT`.
    """
    size = model.network.config.crop_size
    example = torch.zeros(batch or 2, size, size, 3, dtype=torch.uint8)
    names = [OUTPUT]
    if model.network.config.head == "moe":
        names += [ROUTER_INPUTS, ROUTER_LOGITS]
    dynamic = None
    if batch is None:
        dynamic = ({0: torch.export.Dim("batch", min=1, max=_MAX_BATCH)},)
    # The exporter reports on internals that a user can do nothing about.
    with warnings.catch_warnings(), _quiet("torch.onnx", "onnxscript"), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            program: Any = torch.onnx.export(
                _Exported(model).eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=names,
                dynamic_shapes=dynamic,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # torch raises its own and its dependencies' classes here
            raise ExportError(f"torch cannot export this network: {error}") from error
    proto: onnx.ModelProto = program.model_proto
    _hide_router(proto)
    _forget_origin(proto)
    refused = sorted({node.op_type for node in proto.graph.node} & DATA_DEPENDENT)
    if refused:
        raise ExportError(
            f"the graph holds {', '.join(refused)}: its shapes would depend on the data. "
            f"Export a dense model, see densify()"
        )
    onnx.checker.check_model(proto, full_check=True)
    return proto


def store_as_float16(proto: onnx.ModelProto) -> None:
    """Store float32 weights as float16 wherever that changes no value, in place.

    A Cast turns each back into float32. Runtimes fold it when they load the file, so they compute
    the same bits from half the bytes. The router keeps its weight, which is looked up by name, and
    tensors of less than `_WORTH_HALVING` values are left alone.
    """
    kept, casts = [], []
    for weight in proto.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        if (
            weight.data_type != onnx.TensorProto.FLOAT
            or values.size < _WORTH_HALVING
            or weight.name.endswith(ROUTER_WEIGHT)
            or not np.array_equal(_half(values).astype(np.float32), values)
        ):
            kept.append(weight)
            continue
        name = f"{weight.name}/float16"
        kept.append(onnx.numpy_helper.from_array(_half(values), name))
        casts.append(
            onnx.helper.make_node(
                "Cast", [name], [weight.name], f"{weight.name}/cast", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *proto.graph.node]
    del proto.graph.initializer[:], proto.graph.node[:]
    proto.graph.initializer.extend(kept)
    proto.graph.node.extend(nodes)


def _half(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore"):  # what overflows is not equal afterwards
        return values.astype(np.float16)


def set_metadata(proto: onnx.ModelProto, manifest: Manifest) -> None:
    """Put the manifest into the model, replacing one that is there."""
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {METADATA_KEY: manifest.to_json()})
    proto.producer_name = "lifeiqa"


def _hide_router(proto: onnx.ModelProto) -> None:
    """Turn the router's tensors from outputs into named values inside the graph."""
    hidden = [output for output in proto.graph.output if output.name != OUTPUT]
    for output in hidden:
        proto.graph.output.remove(output)
    known = {value.name for value in proto.graph.value_info}
    proto.graph.value_info.extend(output for output in hidden if output.name not in known)


def _forget_origin(proto: onnx.ModelProto) -> None:
    """Drop the exporter's notes, which hold source lines and the paths of this machine's files."""
    graph = proto.graph
    for each in (*graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        del each.metadata_props[:]
        each.ClearField("doc_string")
    del graph.metadata_props[:]


class _quiet:  # noqa: N801  # used like a function
    """Silence loggers below errors for the time of a block."""

    def __init__(self, *names: str) -> None:
        self._loggers = [logging.getLogger(name) for name in names]

    def __enter__(self) -> None:
        self._levels = [logger.level for logger in self._loggers]
        for logger in self._loggers:
            logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        for logger, level in zip(self._loggers, self._levels, strict=True):
            logger.setLevel(level)
