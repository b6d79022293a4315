"""Graphs for the parser of TensorRT-RTX, and what it and we say of those that it refuses."""

from onnx import TensorProto, helper

FLOAT, HALF, UINT8, INT64 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.UINT8,
    TensorProto.INT64,
)
DATA_DEPENDENT = (
    "its shapes or its order depend on the data, as in sparse routing: lifeiqa-export writes "
    "dense routing instead"
)
DAMAGED = "the file is damaged, or no ONNX file"
HALVES = helper.make_tensor("scales", FLOAT, [4], [1, 1, 0.5, 0.5])


def value(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs.split(" "), outputs.split(" "), **attributes)


def graph(nodes, inputs, outputs, constants=()):
    built = helper.make_graph(nodes, "graph", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("ours", 1)]
    return helper.make_model(built, opset_imports=opsets, ir_version=10).SerializeToString()


def resize(source, target, **attributes):
    return node("Resize", f"{source}  scales", target, mode="cubic", antialias=1, **attributes)


NON_ZERO = graph(
    [node("NonZero", "x", "y", name="where")],
    [value("x", FLOAT, 4, 4)],
    [value("y", INT64, 2, None)],
)
NON_ZERO_IN_A_BRANCH = graph(
    [
        helper.make_node(
            "If",
            ["c"],
            ["y"],
            then_branch=helper.make_graph(
                [node("Relu", "x", "t")], "yes", [], [value("t", FLOAT, 4)]
            ),
            else_branch=helper.make_graph(
                [node("NonZero", "x", "e", name="inner")], "no", [], [value("e", INT64, 1, None)]
            ),
        )
    ],
    [value("c", TensorProto.BOOL), value("x", FLOAT, 4)],
    [value("y", FLOAT, 4)],
)
BYTES_TRANSPOSED = graph(
    [node("Transpose", "x", "y", perm=[0, 3, 1, 2], name="channels_first")],
    [value("x", UINT8, 1, 4, 4, 3)],
    [value("y", UINT8, 1, 3, 4, 4)],
)
MIXED_SUM = graph(
    [node("Add", "x w", "y", name="sum")],
    [value("x", HALF, 4)],
    [value("y", HALF, 4)],
    [helper.make_tensor("w", FLOAT, [4], [1, 2, 3, 4])],
)
MIXED_PRODUCT = graph(
    [node("MatMul", "w x", "y", name="product")],
    [value("x", HALF, 2, 2)],
    [value("y", HALF, 2, 2)],
    [helper.make_tensor("w", FLOAT, [2, 2], [1, 2, 3, 4])],
)
SMOOTHED = graph(
    [resize("x", "y", name="shrink")],
    [value("x", FLOAT, 1, 3, 8, 8)],
    [value("y", FLOAT, 1, 3, 4, 4)],
    [HALVES],
)
CUSTOM = graph(
    [node("Sharpness", "x", "y", name="own", domain="ours")],
    [value("x", FLOAT, 4)],
    [value("y", FLOAT, 4)],
)
UNNAMED = graph(
    [node("Relu", "x", "r"), node("NonZero", "r", "y")],
    [value("x", FLOAT, 4, 4)],
    [value("y", INT64, 2, None)],
)
SEVERAL = graph(
    [
        resize("x", "a", name="first"),
        resize("a", "b", name="second"),
        node("Sharpness", "b", "y", name="own", domain="ours"),
    ],
    [value("x", FLOAT, 1, 3, 8, 8)],
    [value("y", FLOAT, 1, 3, 2, 2)],
    [HALVES],
)
OTHER = graph([node("Relu", "x", "y")], [value("x", FLOAT, 4)], [value("y", FLOAT, 4)])
NOTHING = graph([], [], [])

FLOATS_MEET = "float16 meets float32 in one operation: cast one of the two in the graph"
REFUSED = {
    "NonZero": (NON_ZERO, "node 'where' (NonZero): ", "NonZero", DATA_DEPENDENT),
    "a branch": (NON_ZERO_IN_A_BRANCH, "node 'inner' (NonZero): ", "NonZero", DATA_DEPENDENT),
    "no name": (UNNAMED, "node 1 (NonZero): ", "NonZero", DATA_DEPENDENT),
    "uint8 Transpose": (
        BYTES_TRANSPOSED,
        "node 'channels_first' (Transpose): ",
        "has type UInt8",
        "cast the crops to a float type first, then transpose",
    ),
    "mixed sum": (MIXED_SUM, "node 'sum' (Add): ", "types Half and Float", FLOATS_MEET),
    "mixed product": (MIXED_PRODUCT, "node 'product' (MatMul): ", "type Half", FLOATS_MEET),
    "antialias": (
        SMOOTHED,
        "node 'shrink' (Resize): ",
        "Antialiasing is not supported",
        "images are resized before the graph, see lifeiqa.preprocess.crops",
    ),
    "unknown operator": (
        CUSTOM,
        "node 'own' (Sharpness): ",
        "Plugin not found",
        "it is no operator of ONNX's own: export without custom operators",
    ),
}
