"""Graphs of other inputs and outputs than their manifest says, in each runtime with a CPU."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from helpers import tiny
from helpers.runtimes import ONNX_ON_CPU, open_on_cpu
from lifeiqa.config import ModelConfig
from lifeiqa.errors import ArtifactError
from lifeiqa.runtimes import open_session

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8
SIZE = tiny.SIZE


@pytest.fixture(params=ONNX_ON_CPU)
def opened(request):
    return lambda path: open_on_cpu(path, request.param)


def value(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def written(path, proto, **manifest):
    path.write_bytes(proto.SerializeToString())
    tiny.write_sidecar(path, **manifest)
    return path


def changed(*, crops=None, score=None):
    proto = tiny.model()
    if crops is not None:
        proto.graph.input[0].CopyFrom(crops)
    if score is not None:
        proto.graph.output[0].CopyFrom(score)
    return proto


def named(name):
    proto = changed(crops=value(name, UINT8, "n", SIZE, SIZE, 3))
    proto.graph.node[0].input[0] = name
    return proto


def two_outputs():
    proto = tiny.model()
    proto.graph.output.append(value("mean", FLOAT, "n"))
    return proto


def two_inputs():
    proto = tiny.model()
    proto.graph.input.append(value("gain2", FLOAT))
    proto.graph.node[2].input[1] = "gain2"
    return proto


def double():
    """A graph that gives float64."""
    proto = changed(score=value("score", TensorProto.DOUBLE, "n"))
    proto.graph.node[2].output[0] = "single"
    proto.graph.node.append(helper.make_node("Cast", ["single"], ["score"], to=TensorProto.DOUBLE))
    return proto


@pytest.mark.parametrize(
    ("proto", "found"),
    [
        (named("pixels"), "takes pixels uint8 (N, 32, 32, 3) and returns"),
        (changed(crops=value("crops", FLOAT, "n", SIZE, SIZE, 3)), "takes crops float32 (N, 32,"),
        (changed(crops=value("crops", UINT8, "n", 16, 16, 3)), "takes crops uint8 (N, 16, 16, 3)"),
        (changed(crops=value("crops", UINT8, "n", "h", SIZE, 3)), "takes crops uint8 (N, N, 32, 3"),
        (tiny.model(batch=4), "takes crops uint8 (4, 32, 32, 3)"),
        (two_inputs(), "takes crops uint8 (N, 32, 32, 3), gain2 float32 () and"),
        (two_outputs(), "returns score float32 (N), mean float32 (N);"),
        (double(), "returns score float64 (N);"),
    ],
    ids=["name", "type", "size", "open", "batch", "inputs", "outputs", "double"],
)
def test_a_graph_of_another_contract_is_refused_with_both(tmp_path, proto, found, opened):
    path = written(tmp_path / "tiny.onnx", proto)

    with pytest.raises(ArtifactError) as caught:
        opened(path)

    message = str(caught.value)
    assert message.startswith(f"{path}: its graph takes crops ") or "takes pixels" in message
    assert found in message
    assert (
        "its manifest says that it takes crops uint8 (N, 32, 32, 3) and returns score float32 (N)."
        in (message)
    )


def test_a_manifest_of_another_size_than_the_graph_is_refused(tmp_path, opened):
    config = ModelConfig(crop_size=64, head="none")
    path = written(tmp_path / "tiny.onnx", tiny.model(), config=config)

    with pytest.raises(
        ArtifactError, match=r"its manifest says that it takes crops uint8 \(N, 64, 64, 3"
    ):
        opened(path)


def test_a_manifest_of_a_batch_that_the_graph_leaves_open_is_refused(tmp_path, opened):
    path = written(tmp_path / "tiny.onnx", tiny.model(), batch=4)

    with pytest.raises(ArtifactError, match=r"its manifest says that it takes crops uint8 \(4, 32"):
        opened(path)


@pytest.mark.parametrize("batch", [None, 4])
def test_a_run_that_gives_more_than_a_score_a_crop_is_refused(tmp_path, batch, opened):
    proto = tiny.model(batch=batch)
    proto.graph.node[2].output[0] = "once"
    proto.graph.node.append(helper.make_node("Concat", ["once", "once"], ["score"], axis=0))
    proto.graph.output[0].CopyFrom(value("score", FLOAT, "m"))
    path = written(tmp_path / "tiny.onnx", proto, batch=batch)

    # A runtime that sees through the graph when it opens it lets it be refused there.
    with pytest.raises(ArtifactError, match=r"tiny\.onnx: (it returned float32|its graph takes)"):
        opened(path).run(tiny.crops(1, 2))


def test_a_graph_that_fails_in_onnx_runtime_is_a_fault_of_the_file(tmp_path):
    """Its shapes fit until there are numbers in them."""
    proto = tiny.model()
    proto.graph.node[2].output[0] = "all"
    proto.graph.node.append(helper.make_node("Cast", ["all"], ["index"], to=TensorProto.INT64))
    proto.graph.node.append(helper.make_node("Gather", ["all", "index"], ["score"]))
    path = written(tmp_path / "tiny.onnx", proto)

    with open_session(path, runtime="onnxruntime", device="cpu", threads=1) as session:
        np.testing.assert_array_equal(session.run(tiny.crops(0)), [0])
        with pytest.raises(ArtifactError, match=r"tiny\.onnx: ONNX Runtime cannot run it: "):
            session.run(tiny.crops(200))


def test_a_graph_that_fails_in_openvino_is_a_fault_of_the_file(tmp_path, monkeypatch):
    """A fake failure: OpenVINO's own operators forgive what they can."""

    class Failing:
        def __init__(self, real):
            self.get_tensor = real.get_tensor

        def infer(self):
            raise RuntimeError("Exception from src/x.cpp:1:\nout of bounds")

    with open_session(written(tmp_path / "tiny.onnx", tiny.model()), runtime="openvino") as session:
        monkeypatch.setattr(session, "_request", Failing(session._request))
        with pytest.raises(
            ArtifactError, match=r"tiny\.onnx: OpenVINO cannot run it: out of bounds"
        ):
            session.run(tiny.crops(1))
