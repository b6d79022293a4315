"""What is found in an ONNX file, against the package onnx, and what is refused unopened."""

import os
import tracemalloc

import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    SparseTensorProto,
    TensorProto,
    TrainingInfoProto,
    helper,
)

from helpers import strangers, tiny
from helpers.strangers import refusal, written
from lifeiqa.artifacts import onnx_inspect as onnxfile
from lifeiqa.artifacts.manifest import METADATA_KEY
from lifeiqa.artifacts.onnx_inspect import MAX_FILE, PLACES, SINGLE, read_onnx
from lifeiqa.errors import ArtifactError
from lifeiqa.weights import bundled


def test_every_way_from_a_model_to_a_tensor_is_known():
    """By the schema of the package onnx: one that a later release adds fails here."""
    children, todo = {}, [ModelProto.DESCRIPTOR]
    while todo:
        message = todo.pop()
        if message.name not in children and message.name != "TensorProto":
            fields = [field for field in message.fields if field.message_type is not None]
            children[message.name] = {field.number: field for field in fields}
            todo += [field.message_type for field in fields]
    leading = {"TensorProto"}
    for _ in children:
        leading |= {
            name
            for name, fields in children.items()
            if any(field.message_type.name in leading for field in fields.values())
        }
    ways = {
        name: {n: f for n, f in fields.items() if f.message_type.name in leading}
        for name, fields in children.items()
        if name in leading
    }

    assert {
        name: {number: field.message_type.name for number, field in fields.items()}
        for name, fields in ways.items()
    } == PLACES
    assert {
        (name, number)
        for name, fields in ways.items()
        for number, field in fields.items()
        if not field.is_repeated
    } == SINGLE


def test_an_exported_graph_is_found_as_onnx_finds_it(monkeypatch):
    read, seen = onnxfile.read_tensor, []

    def spy(*arguments):
        seen.append(read(*arguments))
        return seen[-1]

    monkeypatch.setattr(onnxfile, "read_tensor", spy)
    found = read_onnx(bundled())
    proto = onnx.load(bundled())

    assert found.external == ()
    assert found.metadata == {each.key: each.value for each in proto.metadata_props}
    assert [(t.name, t.type, t.dims) for t in seen] == [
        (t.name, t.data_type, [*t.dims]) for t in strangers.tensors_in(proto)
    ]


TENSORS = st.builds(
    lambda name, values: TensorProto(
        name=name, data_type=TensorProto.FLOAT, dims=[len(values)], float_data=values
    ),
    st.text("ab", max_size=2),
    st.lists(st.just(1.0), max_size=2),
)
SPARSE = st.builds(
    lambda values, indices: SparseTensorProto(values=values, indices=indices, dims=[4]),
    TENSORS,
    TENSORS,
)


def attributes(graphs):
    return st.one_of(
        TENSORS.map(lambda t: AttributeProto(name="t", t=t)),
        st.lists(TENSORS, max_size=2).map(lambda t: AttributeProto(name="t", tensors=t)),
        SPARSE.map(lambda t: AttributeProto(name="t", sparse_tensor=t)),
        st.lists(SPARSE, max_size=2).map(lambda t: AttributeProto(name="t", sparse_tensors=t)),
        graphs.map(lambda g: AttributeProto(name="g", g=g)),
        st.lists(graphs, max_size=2).map(lambda g: AttributeProto(name="g", graphs=g)),
    )


def nodes(graphs):
    return st.lists(
        st.lists(attributes(graphs), max_size=2).map(
            lambda found: NodeProto(op_type="Any", attribute=found)
        ),
        max_size=2,
    )


GRAPHS = st.recursive(
    st.builds(lambda t: GraphProto(initializer=t), st.lists(TENSORS, max_size=2)),
    lambda inner: st.builds(
        lambda tensors, sparse, found: GraphProto(
            initializer=tensors, sparse_initializer=sparse, node=found
        ),
        st.lists(TENSORS, max_size=2),
        st.lists(SPARSE, max_size=2),
        nodes(inner),
    ),
    max_leaves=4,
)
MODELS = st.builds(
    lambda graph, training, found, defaults: ModelProto(
        ir_version=10,
        graph=graph,
        training_info=[TrainingInfoProto(initialization=each, algorithm=each) for each in training],
        functions=[FunctionProto(name="f", node=found, attribute_proto=defaults)],
    ),
    GRAPHS,
    st.lists(GRAPHS, max_size=1),
    nodes(GRAPHS),
    st.lists(attributes(GRAPHS), max_size=1),
)
MANY = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@MANY
@given(proto=MODELS, data=st.data())
def test_no_tensor_can_hide_that_it_lies_in_another_file(tmp_path_factory, proto, data):
    folder = tmp_path_factory.mktemp("made")
    tensors = list(strangers.tensors_in(proto))
    chosen = data.draw(st.sets(st.integers(0, len(tensors) - 1))) if tensors else set()
    for index in chosen:
        strangers.send_outside(tensors[index], f"{index}.bin")
        (folder / f"{index}.bin").write_bytes(b"\0" * 8)

    assert read_onnx(written(folder, proto)).external == tuple(sorted(f"{i}.bin" for i in chosen))

    if chosen:
        gone = data.draw(st.sampled_from(sorted(chosen)))
        (folder / f"{gone}.bin").unlink()
        assert f"external data '{gone}.bin' cannot be read" in refusal(folder / "tiny.onnx")


@settings(MANY, max_examples=300)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_found_as_onnx_finds_it(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "in.bin").write_bytes(strangers.GAIN)
    proto = strangers.outside(tiny.model(), "in.bin", offset=0, length=4)
    proto.graph.node[0].attribute.add(name="t").t.CopyFrom(helper.make_tensor("u", 7, [2], [1, 2]))
    good = proto.SerializeToString()
    start = data.draw(st.integers(0, len(good)))
    stop = data.draw(st.integers(start, min(len(good), start + 3)))
    path = folder / "tiny.onnx"
    path.write_bytes(good[:start] + data.draw(st.binary(max_size=3)) + good[stop:])

    try:
        found = read_onnx(path)
        parsed = ModelProto.FromString(path.read_bytes())
    except (ArtifactError, DecodeError):
        return  # the second is damage where no tensor can be: no runtime parses it either
    tensors = list(strangers.tensors_in(parsed))
    named = {e.value for t in tensors for e in t.external_data if e.key == "location"}
    assert set(found.external) == named
    for tensor in tensors:
        if not tensor.external_data:
            assert onnx.numpy_helper.to_array(tensor).shape == (*tensor.dims,)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it has 0 bytes"),
        (b"\x08\x0a", "there is no graph in it"),
        (b"\x38\x05", "field 7 has wire type 0, not 2"),
        (b"\x3a\0\x3a\0", "ModelProto has two of field 7"),
    ],
)
def test_a_file_without_one_graph_is_refused(tmp_path, content, complaint):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(content)

    assert complaint in refusal(path)


def test_graphs_in_graphs_are_followed_so_far_and_no_further(tmp_path):
    def nested(times):
        graph = GraphProto(initializer=[TensorProto(data_type=1, dims=[0])])
        for _ in range(times):
            graph = GraphProto(node=[NodeProto(attribute=[AttributeProto(name="g", g=graph)])])
        return written(tmp_path, ModelProto(graph=graph))

    assert read_onnx(nested(9)).external == ()
    assert "nested more than 30 deep" in refusal(nested(10))


@pytest.mark.parametrize("dims", [[-1], [2**40], [2**62, 2**62]])
def test_a_sparse_tensor_that_no_memory_holds_is_refused(tmp_path, dims):
    empty = TensorProto(data_type=1, dims=[0])
    proto = tiny.model()
    sparse = proto.graph.sparse_initializer.add(values=empty, indices=empty)
    read_onnx(written(tmp_path, proto))

    sparse.dims.extend(dims)
    assert "a sparse tensor: its shape " in refusal(written(tmp_path, proto))


def test_metadata_has_its_bound(tmp_path):
    proto = tiny.model()
    helper.set_model_props(proto, {METADATA_KEY: "x" * ((1 << 24) - 100)})
    assert len(read_onnx(written(tmp_path, proto)).metadata[METADATA_KEY]) == (1 << 24) - 100

    proto.metadata_props.add(key="more", value="x" * 200)
    assert "its metadata has more than 16777216 bytes" in refusal(written(tmp_path, proto))


def test_metadata_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"\x3a\0\x72\x04\x0a\x02\xff\xfe")

    assert "a text is not UTF-8" in refusal(path)


def test_a_file_larger_than_protobuf_takes_is_refused(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"\x3a\0")
    os.truncate(path, MAX_FILE + 1)  # a hole: it takes no disk

    assert f"it has {MAX_FILE + 1} bytes" in refusal(path)


def test_weights_are_not_read(tmp_path):
    """Of 1.5 GB, most of them a hole in the file."""
    size = 1_500_000_000
    proto = ModelProto(graph=GraphProto(initializer=[TensorProto(data_type=2, dims=[size])]))
    short = proto.SerializeToString()
    tensor = proto.graph.initializer[0].SerializeToString() + b"\x4a" + _varint(size)
    graph = b"\x2a" + _varint(len(tensor) + size) + tensor
    model = b"\x3a" + _varint(len(graph) + size) + graph
    path = tmp_path / "tiny.onnx"
    path.write_bytes(model)
    os.truncate(path, len(model) + size)
    assert len(model) > len(short)

    tracemalloc.start()
    read_onnx(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def _varint(number):
    return bytes(number >> shift & 0x7F | 0x80 * (shift < 28) for shift in range(0, 35, 7))
