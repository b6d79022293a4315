"""An FP16 graph rewritten so that a CPU really rounds to FP16.

ONNX Runtime has no float16 kernels for most operators on a CPU: it computes them in float32 and
removes the casts in between, so that only the weights are rounded. A GPU rounds every tensor. The
form below computes in float32 and sends each result that the graph calls float16 through an
explicit pair of casts, which ONNX Runtime keeps: float32 accumulation, float16 storage.
"""

from __future__ import annotations

from typing import Any

from lifeiqa.errors import ExportError, require


def rounded_form(model: Any) -> Any:
    """A new `onnx.ModelProto` that rounds where ``model`` says float16; ``model`` is unchanged.

    Raises:
        ExportError: the type of a value cannot be inferred.
    """
    onnx = require("onnx", extra="export", purpose="rounding as an FP16 graph says")
    float32, float16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    graph = inferred.graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    types.update({value.name: value.type.tensor_type.elem_type for value in graph.output})

    result = onnx.ModelProto()
    result.CopyFrom(inferred)
    nodes, values = result.graph.node, result.graph.value_info
    del nodes[:], values[:]
    for initializer in result.graph.initializer:
        if initializer.data_type == float16:
            array = onnx.numpy_helper.to_array(initializer).astype("float32")
            initializer.CopyFrom(onnx.numpy_helper.from_array(array, initializer.name))
    for value in graph.value_info:
        if value.type.tensor_type.elem_type != float16:
            values.add().CopyFrom(value)
    for source in graph.node:
        node = nodes.add()
        node.CopyFrom(source)
        rounded = [name for name in source.output if types.get(name) == float16]
        if any(name and name not in types for name in source.output):
            raise ExportError(f"the type of {list(source.output)} ({source.op_type}) is unknown")
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == float16:
                attribute.i = float32
            elif attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == float16:
                array = onnx.numpy_helper.to_array(attribute.t).astype("float32")
                attribute.t.CopyFrom(onnx.numpy_helper.from_array(array, attribute.t.name))
        for name in rounded:
            exact, half = f"{name}/exact", f"{name}/half"
            node.output[list(node.output).index(name)] = exact
            nodes.append(onnx.helper.make_node("Cast", [exact], [half], to=float16))
            nodes.append(onnx.helper.make_node("Cast", [half], [name], to=float32))
    return result
