"""A tensor of an ONNX file: what it says it holds, and whether it holds that.

A runtime trusts a tensor's shape and type when it reads memory, so what is stored must be exactly
what they need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from lifeiqa.artifacts.protobuf import BYTES, FIXED32, FIXED64, VARINT, Field, Reader, WireError

_MAX_NUMBER = 2**63 - 1
_MAX_RANK = 64  # NumPy's
_MAX_STRING = 4096  # of a name or a path

_DIMS, _TYPE, _NAME, _RAW, _STRINGS, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 6, 13, 14
_NUMBERS = {4: FIXED32, 5: VARINT, 7: VARINT, 10: FIXED64, 11: VARINT}
"""Fields that hold the values as numbers: float, int32, int64, double, uint64."""
_ONCE = {_TYPE, _NAME, _RAW, _LOCATION}


class Type(NamedTuple):
    """How a data type is stored: its bits as bytes, or the bits of each number of a field."""

    name: str
    bits: int
    field: int
    bits_of_number: int


def _types() -> dict[int, Type]:
    whole = {
        1: ("FLOAT", 32, 4),
        11: ("DOUBLE", 64, 10),
        7: ("INT64", 64, 7),
        12: ("UINT32", 32, 11),
        13: ("UINT64", 64, 11),
        6: ("INT32", 32, 5),
        2: ("UINT8", 8, 5),
        3: ("INT8", 8, 5),
        4: ("UINT16", 16, 5),
        5: ("INT16", 16, 5),
        9: ("BOOL", 8, 5),
        10: ("FLOAT16", 16, 5),
        16: ("BFLOAT16", 16, 5),
        17: ("FLOAT8E4M3FN", 8, 5),
        18: ("FLOAT8E4M3FNUZ", 8, 5),
        19: ("FLOAT8E5M2", 8, 5),
        20: ("FLOAT8E5M2FNUZ", 8, 5),
        24: ("FLOAT8E8M0", 8, 5),
        27: ("FLOAT6E2M3", 6, 5),
        28: ("FLOAT6E3M2", 6, 5),
    }
    types = {number: Type(*each, bits_of_number=each[1]) for number, each in whole.items()}
    for number, name in {21: "UINT4", 22: "INT4", 23: "FLOAT4E2M1"}.items():
        types[number] = Type(name, 4, 5, bits_of_number=8)
    for number, name in {25: "UINT2", 26: "INT2"}.items():
        types[number] = Type(name, 2, 5, bits_of_number=8)
    types[14] = Type("COMPLEX64", 64, 4, bits_of_number=32)
    types[15] = Type("COMPLEX128", 128, 10, bits_of_number=64)
    types[8] = Type("STRING", 1, _STRINGS, bits_of_number=1)
    return types


TYPES = _types()
"""The data types of ONNX by their number."""


@dataclass
class Tensor:
    """A TensorProto without its values.

    Attributes:
        name: of the tensor.
        type: number of its data type.
        dims: its shape.
        stored: how many numbers, strings or bytes each field of values holds.
        outside: its external data: ``location``, ``offset``, ``length``.
        is_external: whether another file holds it.
    """

    name: str = ""
    type: int = 0
    dims: list[int] = field(default_factory=list)
    stored: dict[int, int] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    is_external: bool = False

    def __str__(self) -> str:
        return f"tensor {self.name!r}"

    def require_whole(self) -> None:
        """Refuse a tensor that holds more or less than its shape and type need.

        Raises:
            WireError: with what it holds and what it needs.
        """
        count = size_of(self.dims, str(self))
        kind = TYPES.get(self.type)
        if kind is None:
            raise WireError(f"{self}: its data type {self.type} is unknown")
        fields = [number for number, found in self.stored.items() if found]
        if self.is_external:
            if fields or kind.field == _STRINGS:
                raise WireError(
                    f"{self}: its values cannot be external data, or are in the file as well"
                )
            return
        if fields == [_RAW] and kind.field != _STRINGS:
            needed, unit = self.bytes, "bytes"
        else:
            needed, unit = -(-count * kind.bits // kind.bits_of_number), "values"
        place = _RAW if unit == "bytes" else kind.field
        if self.stored.get(place, 0) != needed or set(fields) - {place}:
            held = ", ".join(f"{self.stored[number]} in field {number}" for number in fields)
            raise WireError(
                f"{self}: {kind.name} of shape {self.dims} needs {needed} {unit} in field "
                f"{place}, and it has {held or 'none'}"
            )

    @property
    def bytes(self) -> int:
        """Bytes that its shape and type need where it is stored as bytes."""
        return -(-math.prod(self.dims) * TYPES[self.type].bits // 8)


def read_tensor(reader: Reader, start: int, stop: int) -> Tensor:
    """Read the TensorProto in ``start..stop``; its values are counted, not read.

    Raises:
        WireError: it is not one.
    """
    tensor, seen = Tensor(), set[int]()
    for each in reader.fields(start, stop):
        if each.number in _ONCE and each.number in seen:
            raise WireError(f"byte {each.start}: a tensor has two of field {each.number}")
        seen.add(each.number)
        if each.number == _DIMS:
            tensor.dims += read_dims(reader, each)
            if len(tensor.dims) > _MAX_RANK:
                raise WireError(f"{tensor}: it has more than {_MAX_RANK} dimensions")
        elif each.number in (_TYPE, _LOCATION):
            reader.expect(each, VARINT)
            if each.number == _TYPE:
                tensor.type = each.value
            elif each.value:
                tensor.is_external = True
        elif each.number == _NAME:
            content = reader.bytes_of(each, limit=_MAX_STRING)
            tensor.name = content.decode("utf-8", "backslashreplace")
        elif each.number == _EXTERNAL:
            key, value = read_entry(reader, each, limit=_MAX_STRING)
            if key in tensor.outside:
                raise WireError(f"{tensor}: its external data has two of {key!r}")
            tensor.outside[key] = value
            tensor.is_external = True
        elif each.number in (_RAW, _STRINGS):
            reader.expect(each, BYTES)
            found = each.stop - each.start if each.number == _RAW else 1
            tensor.stored[each.number] = tensor.stored.get(each.number, 0) + found
        elif each.number in _NUMBERS:
            found = reader.numbers(each, wire=_NUMBERS[each.number])
            tensor.stored[each.number] = tensor.stored.get(each.number, 0) + found
    return tensor


def read_dims(reader: Reader, each: Field) -> list[int]:
    """The signed numbers of a field of dimensions: one, or a row of them.

    Raises:
        WireError: it holds none, or more than a tensor can have.
    """
    if each.wire == VARINT:
        return [_signed(each.value)]
    if reader.numbers(each, wire=VARINT) > _MAX_RANK:
        raise WireError(f"byte {each.start}: more than {_MAX_RANK} dimensions")
    dims, at = [], each.start
    while at < each.stop:
        value, at = reader.varint(at, each.stop)
        dims.append(_signed(value))
    return dims


def size_of(dims: list[int], what: str) -> int:
    """How many values a shape has.

    Raises:
        WireError: a dimension is negative, or 64 bits do not hold the product. That is so even if
            one of the dimensions is 0, since a runtime may multiply by it last.
    """
    if any(side < 0 for side in dims) or math.prod(max(side, 1) for side in dims) > _MAX_NUMBER:
        raise WireError(f"{what}: its shape {dims} is negative or too large")
    return math.prod(dims)


def read_entry(reader: Reader, each: Field, *, limit: int) -> tuple[str, str]:
    """Key and value of a StringStringEntryProto.

    Raises:
        WireError: it is not one, not UTF-8, or longer than ``limit`` bytes.
    """
    reader.expect(each, BYTES)
    found = {1: "", 2: ""}
    for part in reader.fields(each.start, each.stop):
        if part.number in found:
            try:
                found[part.number] = reader.bytes_of(part, limit=limit).decode()
            except UnicodeDecodeError as error:
                raise WireError(
                    f"byte {part.start}: a text is not UTF-8: {error.reason}"
                ) from error
    return found[1], found[2]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value
