"""What a graph takes and gives: C++ finds what Python finds, before a score is made of it."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from helpers import tiny
from helpers.clibrary import error_of, errors
from lifeiqa.scorer import Scorer


def model_ending_in(path, kind, *, batch=None, second=False):
    """The tiny model, whose scores are of another type, or which has a second input."""
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
def test_a_graph_that_is_not_what_its_manifest_says_has_the_same_error(library, tmp_path, changes):
    """It was run, and whatever bytes it gave were taken for scores."""
    theirs, ours = errors(library, model_ending_in(tmp_path / "m.onnx", **changes), provider="cpu")

    assert ours == theirs
    assert "by its manifest it takes crops uint8 (N, 32, 32, 3)" in ours[1]


@pytest.mark.parametrize("gain", ["nan", "inf", "-inf"])
def test_what_is_no_number_has_the_same_error(library, tmp_path, gain):
    path = tiny.write_model(tmp_path / "m.onnx", gain=float(gain))
    pixels = np.full((40, 40, 3), 9, np.uint8)

    with (
        library.scorer(path, provider="cpu") as ours,
        Scorer(path, runtime="onnxruntime", device="cpu") as theirs,
    ):
        assert error_of(lambda: ours.score_rgb(pixels)) == error_of(lambda: theirs.score(pixels))


def test_a_run_that_fails_is_an_artifact_error_and_prints_nothing(library, tmp_path, capfd):
    """A row is asked for that the crops do not have."""
    proto = tiny.model()
    proto.graph.initializer.append(helper.make_tensor("row", TensorProto.INT64, [1], [1000]))
    proto.graph.node.insert(1, helper.make_node("Gather", ["samples", "row"], ["one"], axis=1))
    proto.graph.node[2].input[0] = "one"
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    tiny.write_sidecar(path)
    pixels = np.full((40, 40, 3), 9, np.uint8)

    with (
        library.scorer(path, provider="cpu") as ours,
        Scorer(path, runtime="onnxruntime", device="cpu") as theirs,
    ):
        for found in (
            error_of(lambda: ours.score_rgb(pixels)),
            error_of(lambda: theirs.score(pixels)),
        ):
            assert found[0] == "ArtifactError"
            assert found[1].startswith(f"{path}: ONNX Runtime cannot run it: ")
    assert capfd.readouterr() == ("", "")
