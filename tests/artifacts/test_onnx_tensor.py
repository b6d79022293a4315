import math

import numpy as np
import pytest
from onnx import TensorProto, helper

from lifeiqa.artifacts.onnx_tensor import TYPES, read_tensor
from lifeiqa.artifacts.protobuf import Reader, WireError

KINDS = {
    number: name for name, number in TensorProto.DataType.items() if number != TensorProto.UNDEFINED
}
SHAPES = [(), (3,), (2, 3), (1, 5, 1), (0,), (4, 0)]


def read(proto):
    content = proto.SerializeToString()
    return read_tensor(Reader(content, limit=1000), 0, len(content))


def made(number, shape, *, raw):
    """A tensor of zeros as the package onnx stores it."""
    count = math.prod(shape)
    if not raw:
        values = ["x"] * count if number == TensorProto.STRING else np.zeros(count)
        return helper.make_tensor("t", number, shape, values)
    return helper.make_tensor("t", number, shape, bytes(-(-count * TYPES[number].bits // 8)), True)


def refusal(proto):
    with pytest.raises(WireError) as caught:
        read(proto).require_whole()
    return str(caught.value)


def test_every_data_type_of_onnx_is_known_by_its_name():
    assert {number: each.name for number, each in TYPES.items()} == KINDS


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("number", KINDS, ids=KINDS.get)
def test_a_tensor_as_onnx_stores_it_is_whole_and_of_no_other_shape(number, raw):
    if raw and number == TensorProto.STRING:
        return  # onnx has no such form
    for shape in SHAPES:
        proto = made(number, shape, raw=raw)
        found = read(proto)
        found.require_whole()
        assert (found.name, found.type, tuple(found.dims)) == ("t", number, shape)

        proto.dims.append(9)
        if math.prod(shape):
            message = refusal(proto)
            assert f"tensor 't': {TYPES[number].name} of shape {[*shape, 9]} needs " in message
        else:
            read(proto).require_whole()  # nine times nothing


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"dims": [-1]}, r"its shape \[-1\] is negative or too large"),
        ({"dims": [2**62, 2**62]}, "is negative or too large"),
        ({"dims": [0, 2**62, 2**62]}, "is negative or too large"),
        ({"dims": [2**62]}, "needs 4611686018427387904 values in field 4, and it has 1 in field 4"),
        ({"dims": [1] * 65}, "it has more than 64 dimensions"),
        ({"data_type": 0}, "its data type 0 is unknown"),
        ({"data_type": 99}, "its data type 99 is unknown"),
        ({"data_type": TensorProto.INT64}, "needs 1 values in field 7, and it has 1 in field 4"),
        ({"raw_data": b"\0\0\0\0"}, "it has 1 in field 4, 4 in field 9"),
        ({"float_data": []}, "and it has none"),
        ({"float_data": [1, 2]}, "and it has 2 in field 4"),
        ({"float_data": [], "raw_data": b"\0\0\0"}, "needs 4 bytes in field 9, and it has 3"),
        (
            {"data_location": TensorProto.EXTERNAL},
            "cannot be external data, or are in the file as well",
        ),
    ],
)
def test_a_tensor_that_is_not_whole_is_refused_with_what_it_needs(changes, complaint):
    values = {"name": "t", "data_type": TensorProto.FLOAT, "dims": [1], "float_data": [1]}

    read(TensorProto(**values)).require_whole()
    with pytest.raises(WireError, match=complaint):
        read(TensorProto(**{**values, **changes})).require_whole()


def test_strings_cannot_lie_in_another_file():
    proto = TensorProto(data_type=TensorProto.STRING, data_location=TensorProto.EXTERNAL)

    assert "cannot be external data" in refusal(proto)


def test_dimensions_for_themselves_and_in_a_row_are_the_same():
    minus_three = b"\xfd" + b"\xff" * 8 + b"\x01"
    apart, row = b"\x08\x02\x08" + minus_three, b"\x0a\x0b\x02" + minus_three

    for content in (apart, row):
        assert [*TensorProto.FromString(content).dims] == [2, -3]
        assert read_tensor(Reader(content, limit=9), 0, len(content)).dims == [2, -3]


@pytest.mark.parametrize("field", ["data_type", "name", "raw_data", "data_location"])
def test_what_a_tensor_says_twice_is_refused(field):
    values = {"data_type": 1, "name": "t", "raw_data": b"x", "data_location": 1}
    part = TensorProto(**{field: values[field]}).SerializeToString()

    with pytest.raises(WireError, match="a tensor has two of field"):
        read_tensor(Reader(part * 2, limit=9), 0, 2 * len(part))


def test_another_file_that_is_named_twice_is_refused():
    proto = TensorProto()
    for location in ("weights.bin", "/etc/passwd"):
        proto.external_data.add(key="location", value=location)

    with pytest.raises(WireError, match="its external data has two of 'location'"):
        read(proto)


def test_whoever_names_another_file_lies_there_whatever_else_he_says():
    proto = TensorProto(data_location=TensorProto.DEFAULT)
    proto.external_data.add(key="location", value="weights.bin")

    assert read(proto).is_external


def test_a_name_that_is_no_text_can_still_be_told():
    content = b"\x42\x02\xff\xfe"

    assert str(read_tensor(Reader(content, limit=9), 0, 4)) == r"tensor '\\xff\\xfe'"
