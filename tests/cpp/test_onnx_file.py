"""ONNX files that use external data: C++ and Python refuse them, wherever the tensor is."""

import onnx
import pytest
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper

from helpers import strangers, tiny
from helpers.c_interface import failures
from lifeiqa.artifacts.manifest import METADATA_KEY
from lifeiqa.artifacts.onnx_inspect import PLACES

FIELDS = [
    (message, field)
    for message, fields in PLACES.items()
    for field, inner in fields.items()
    if message != "ModelProto"
]


def refusals(library, path):
    """What Python and C++ report; both must refuse the file and name it."""
    both = failures(library, path)
    for failure in both:
        assert failure.kind == "ArtifactError"
        assert failure.message.startswith(f"{path}: ")
    return both


def model_with_external_tensor(message, field):
    """A model with one external tensor below a field of a message."""
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
    return model_with(found)


def model_with(found):
    """A model that contains a message."""
    proto = tiny.model()
    kind = type(found).__name__
    if kind == "TrainingInfoProto":
        proto.training_info.append(found)
    elif kind == "FunctionProto":
        proto.functions.append(found)
    elif kind == "GraphProto":
        return model_with(AttributeProto(name="g", g=found))
    elif kind == "NodeProto":
        proto.graph.node.append(found)
    elif kind == "AttributeProto":
        return model_with(NodeProto(attribute=[found]))
    else:
        proto.graph.sparse_initializer.append(found)
    return proto


def written(folder, proto):
    helper.set_model_props(proto, {METADATA_KEY: tiny.manifest().to_json()})
    path = folder / "tiny.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_a_file_without_external_data_is_opened(library, tmp_path):
    path = written(tmp_path, tiny.model())

    with library.scorer(path) as scorer:
        assert scorer.model.name == b"tiny"


@pytest.mark.parametrize(("message", "field"), FIELDS)
def test_external_data_is_found_in_every_field(library, tmp_path, message, field):
    (tmp_path / "weights.bin").write_bytes(strangers.GAIN)

    path = written(tmp_path, model_with_external_tensor(message, field))
    assert "uses external data" in refusals(library, path)[1].message


@pytest.mark.parametrize("location", ["weights.bin", "../weights.bin", "/etc/passwd"])
def test_both_refuse_external_data(library, tmp_path, location):
    (tmp_path / "weights.bin").write_bytes(strangers.GAIN)
    path = written(tmp_path, strangers.outside(tiny.model(), location))

    assert "uses external data" in refusals(library, path)[1].message


@pytest.mark.parametrize("location", [TensorProto.EXTERNAL, None])
def test_one_of_the_two_fields_is_enough(library, tmp_path, location):
    proto = tiny.model()
    if location is None:
        proto.graph.initializer[0].external_data.add(key="location", value="weights.bin")
    else:
        proto.graph.initializer[0].data_location = location

    assert "uses external data" in refusals(library, written(tmp_path, proto))[1].message


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\x08", "a number ends after its message"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "longer than 64 bits"),
        (b"\x3a\x05\x2a", "a field ends after its message"),
        (b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "a field ends after its message"),
        (b"\x09\0\0", "a field ends after its message"),
        (b"\0\0", "field 0 is invalid"),
        (b"\x0b\x0c", "unknown wire type"),
    ],
)
def test_both_refuse_an_invalid_message(library, tmp_path, content, complaint):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(content)

    assert complaint in refusals(library, path)[1].message


def test_graphs_that_are_nested_too_deeply_are_refused(library, tmp_path):
    graph = GraphProto()
    for _ in range(10):
        graph = GraphProto(node=[NodeProto(attribute=[AttributeProto(name="g", g=graph)])])
    path = written(tmp_path, onnx.ModelProto(graph=graph))

    assert "nested too deeply" in refusals(library, path)[1].message
