import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, TensorProto

from lifeiqa.artifacts.protobuf import BYTES, FIXED32, FIXED64, VARINT, Field, Reader, WireError


def fields(content, start=0, stop=None, limit=100):
    return list(Reader(content, limit=limit).fields(start, len(content) if stop is None else stop))


def varint(number):
    """A plain encoder."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def test_a_message_has_its_fields_in_order():
    proto = AttributeProto(name="alpha", f=1.5, i=-1, floats=[1, 2, 3], ints=[300])
    content = proto.SerializeToString()
    found = {each.number: each for each in fields(content)}

    assert [*found] == sorted(found)
    assert content[found[1].start : found[1].stop] == b"alpha"
    assert (found[2].wire, found[2].stop - found[2].start) == (FIXED32, 4)
    assert found[3] == Field(3, VARINT, found[3].start, found[3].stop, 2**64 - 1)
    assert found[8].value == 300


def test_a_part_of_a_buffer_is_read_alone():
    assert [each.value for each in fields(b"\xff\x08\x05\xff", start=1, stop=3)] == [5]


@given(st.integers(0, 2**64 - 1))
def test_a_number_of_64_bits_is_read_as_it_was_written(number):
    content = varint(number)

    assert Reader(content, limit=1).varint(0, len(content)) == (number, len(content))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\x08", "a number ends after its message"),
        (b"\x08\x80", "a number ends after its message"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "longer than 64 bits"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "longer than 64 bits"),
        (b"\x0a\x05abc", "field 1 ends at 7, and its message at 5"),
        (b"\x0a" + varint(2**63) + b"abc", "and its message at 14"),
        (b"\x0d\0\0\0", "field 1 ends at 5"),
        (b"\x09\0\0\0\0\0\0\0", "field 1 ends at 9"),
        (b"\0\0", "the field number 0 is not valid"),
        (varint(1 << 32) + b"\0", "the field number 536870912 is not valid"),
        (b"\x0b\x0c", "wire type 3 of field 1 is unknown"),
        (b"\x0e", "wire type 6 of field 1 is unknown"),
    ],
)
def test_what_is_no_message_is_refused(content, complaint):
    with pytest.raises(WireError, match=complaint):
        fields(content)


def test_a_field_cannot_reach_beyond_its_own_message():
    with pytest.raises(WireError, match="field 1 ends at 4, and its message at 3"):
        fields(b"\x0a\x02ab", stop=3)


def test_so_many_fields_are_read_and_no_more():
    assert len(fields(b"\x08\0" * 10, limit=10)) == 10
    with pytest.raises(WireError, match="more than 10 fields"):
        fields(b"\x08\0" * 11, limit=10)


@pytest.mark.parametrize(
    ("name", "number", "wire", "values"),
    [
        ("float_data", 4, FIXED32, [1.0, 2.0, 3.0]),
        ("int32_data", 5, VARINT, [0, 300, -1, 2**31 - 1]),
        ("int64_data", 7, VARINT, [*range(0, 1 << 22, 3)]),  # more than one piece of the count
        ("double_data", 10, FIXED64, [1.0]),
    ],
)
def test_numbers_in_a_row_are_counted(name, number, wire, values):
    content = TensorProto(**{name: values}).SerializeToString()
    (field,) = fields(content)

    assert field.number == number
    assert Reader(content, limit=1).numbers(field, wire=wire) == len(values)


def test_a_number_for_itself_counts_as_one():
    content = b"\x38\x05\x38\x06"  # field 7 twice, not in a row
    reader = Reader(content, limit=9)

    assert sum(reader.numbers(each, wire=VARINT) for each in fields(content)) == 2


@pytest.mark.parametrize(
    ("content", "wire"),
    [(b"\x22\x03abc", FIXED32), (b"\x52\x04abcd", FIXED64), (b"\x2a\x01\x80", VARINT)],
)
def test_half_a_number_in_a_row_is_refused(content, wire):
    (field,) = fields(content)

    with pytest.raises(WireError):
        Reader(content, limit=1).numbers(field, wire=wire)


def test_content_of_another_form_or_too_long_is_refused():
    text, number = fields(b"\x0a\x03abc\x10\x05")
    reader = Reader(b"\x0a\x03abc\x10\x05", limit=1)

    assert reader.bytes_of(text, limit=3) == b"abc"
    with pytest.raises(WireError, match="has 3 bytes, at most 2 are read"):
        reader.bytes_of(text, limit=2)
    with pytest.raises(WireError, match=f"has wire type 0, not {BYTES}"):
        reader.bytes_of(number, limit=9)
