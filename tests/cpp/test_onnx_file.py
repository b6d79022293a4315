"""Weights outside an ONNX file: C++ refuses what Python refuses, wherever a tensor can be."""

import onnx
import pytest
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper

from helpers import strangers, tiny
from helpers.clibrary import CError
from lifeiqa.artifacts.manifest import METADATA_KEY
from lifeiqa.artifacts.onnx_inspect import PLACES
from lifeiqa.errors import ArtifactError
from lifeiqa.scorer import Scorer

WAYS = [
    (message, field)
    for message, fields in PLACES.items()
    for field, inner in fields.items()
    if message != "ModelProto"
]


def refusals(library, path):
    found = []
    for opener in (Scorer, library.scorer):
        with pytest.raises((ArtifactError, CError)) as caught, opener(path):
            pass
        found.append(str(caught.value))
    return found


def hidden(message, field):
    """A model with one weight outside, as deep as the way to it goes."""
    kind = getattr(onnx, message)
    inner = PLACES[message][field]
    found = kind()
    name = next(each.name for each in kind.DESCRIPTOR.fields if each.number == field)
    place = getattr(found, name)
    leaf = {
        "TensorProto": lambda t: strangers.send_outside(t, "weights.bin"),
        "SparseTensorProto": lambda t: strangers.send_outside(t.values, "weights.bin"),
        "AttributeProto": lambda a: strangers.send_outside(a.t, "weights.bin"),
        "NodeProto": lambda n: strangers.send_outside(n.attribute.add().t, "weights.bin"),
        "GraphProto": lambda g: strangers.send_outside(g.initializer.add(), "weights.bin"),
    }[inner]
    leaf(place.add() if hasattr(place, "add") else place)
    return model_around(found)


def model_around(found):
    proto = tiny.model()
    kind = type(found).__name__
    if kind == "TrainingInfoProto":
        proto.training_info.append(found)
    elif kind == "FunctionProto":
        proto.functions.append(found)
    elif kind == "GraphProto":
        return model_around(AttributeProto(name="g", g=found))
    elif kind == "NodeProto":
        proto.graph.node.append(found)
    elif kind == "AttributeProto":
        return model_around(NodeProto(attribute=[found]))
    else:
        proto.graph.sparse_initializer.append(found)
    return proto


def written(folder, proto):
    helper.set_model_props(proto, {METADATA_KEY: tiny.manifest().to_json()})
    path = folder / "tiny.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_a_file_that_is_whole_is_opened(library, tmp_path):
    path = written(tmp_path, tiny.model())

    with library.scorer(path) as scorer:
        assert scorer.model.name == b"tiny"


@pytest.mark.parametrize(("message", "field"), WAYS)
def test_no_tensor_can_hide_that_it_lies_in_another_file(library, tmp_path, message, field):
    (tmp_path / "weights.bin").write_bytes(strangers.GAIN)

    _, ours = refusals(library, written(tmp_path, hidden(message, field)))

    assert ours.startswith(f"{tmp_path / 'tiny.onnx'}: weights of it lie in another file")


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/passwd"])
def test_both_refuse_weights_in_another_file(library, tmp_path, location):
    (tmp_path / "weights.bin").write_bytes(strangers.GAIN)
    path = written(tmp_path, strangers.outside(tiny.model(), location))

    theirs, ours = refusals(library, path)

    assert "lie" in theirs
    assert "lie in another file" in ours


@pytest.mark.parametrize("location", [TensorProto.EXTERNAL, None])
def test_half_of_what_says_so_is_enough(library, tmp_path, location):
    proto = tiny.model()
    if location is None:
        proto.graph.initializer[0].external_data.add(key="location", value="weights.bin")
    else:
        proto.graph.initializer[0].data_location = location

    assert "lie in another file" in refusals(library, written(tmp_path, proto))[1]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\x08", "a number ends behind its message"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "longer than 64 bits"),
        (b"\x3a\x05\x2a", "a field ends behind its message"),
        (b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "a field ends behind its message"),
        (b"\x09\0\0", "a field ends behind its message"),
        (b"\0\0", "field 0 cannot be"),
        (b"\x0b\x0c", "wire type is unknown"),
    ],
)
def test_what_is_no_message_is_refused_by_both(library, tmp_path, content, complaint):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(content)

    for said in refusals(library, path):
        assert said.startswith(f"{path}: not an ONNX model that can be used: ")
    assert complaint in said


def test_graphs_in_graphs_are_followed_so_far_and_no_further(library, tmp_path):
    graph = GraphProto()
    for _ in range(10):
        graph = GraphProto(node=[NodeProto(attribute=[AttributeProto(name="g", g=graph)])])
    path = written(tmp_path, onnx.ModelProto(graph=graph))

    assert "nested too deep" in refusals(library, path)[1]
