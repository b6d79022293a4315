"""Inputs, outputs and scores of a graph: C++ refuses the same graphs as Python."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from helpers import tiny
from helpers.c_interface import failure_of, failures, python_scorer


def model_ending_in(path, kind, *, batch=None, second=False):
    """The tiny model with scores of another type, or with a second input."""
    proto = tiny.model(batch=batch)
    if kind != TensorProto.FLOAT:
        proto.graph.node[-1].output[0] = "float"
        proto.graph.node.append(helper.make_node("Cast", ["float"], ["score"], to=kind))
        proto.graph.output[0].type.tensor_type.elem_type = kind
    if second:
        proto.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    path.write_bytes(proto.SerializeToString())
    tiny.write_sidecar(path)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        *({"kind": kind} for kind in (TensorProto.UINT8, TensorProto.BOOL, TensorProto.DOUBLE)),
        {"kind": TensorProto.STRING},
        {"kind": TensorProto.FLOAT, "batch": 4},
        {"kind": TensorProto.FLOAT, "second": True},
    ],
    ids=str,
)
def test_a_graph_that_does_not_match_its_manifest_is_the_same_error(library, tmp_path, changes):
    """Without this check, any bytes that the graph returns would be taken for scores."""
    theirs, ours = failures(library, model_ending_in(tmp_path / "m.onnx", **changes))

    assert ours == theirs
    assert ours.kind == "ArtifactError"
    assert "crops uint8 (N, 32, 32, 3)" in ours.message


@pytest.mark.parametrize("gain", ["nan", "inf", "-inf"])
def test_a_score_that_is_not_finite_is_the_same_error(library, tmp_path, gain):
    path = tiny.write_model(tmp_path / "m.onnx", gain=float(gain))
    pixels = np.full((40, 40, 3), 9, np.uint8)

    with library.scorer(path, device="cpu") as cpp, python_scorer(path) as python:
        ours, theirs = failure_of(cpp.score_rgb, pixels), failure_of(python.score, pixels)
    assert ours == theirs
    assert ours.kind == "ArtifactError"
    assert gain in ours.message
    assert gain in theirs.message.lower()


def test_a_run_that_fails_is_an_artifact_error_and_prints_nothing(library, tmp_path, capfd):
    """The graph gathers a row that the crops do not have."""
    proto = tiny.model()
    proto.graph.initializer.append(helper.make_tensor("row", TensorProto.INT64, [1], [1000]))
    proto.graph.node.insert(1, helper.make_node("Gather", ["samples", "row"], ["one"], axis=1))
    proto.graph.node[2].input[0] = "one"
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    tiny.write_sidecar(path)
    pixels = np.full((40, 40, 3), 9, np.uint8)

    with library.scorer(path, device="cpu") as cpp, python_scorer(path) as python:
        for failure in (failure_of(cpp.score_rgb, pixels), failure_of(python.score, pixels)):
            assert failure.kind == "ArtifactError"
            assert failure.message.startswith(f"{path}: ")
    assert capfd.readouterr() == ("", "")
