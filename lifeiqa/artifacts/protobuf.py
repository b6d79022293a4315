"""Protobuf's wire format, read in place; see protobuf.dev/programming-guides/encoding.

No schema and no copy: a message is a range of a buffer, and its fields are found one by one. What
parsers tolerate and no writer writes is refused, so that two readers cannot read two messages.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

Buffer: TypeAlias = bytes | mmap.mmap

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""How a field is stored; `BYTES` holds text, bytes, a message, or numbers in a row."""

_FIXED = {FIXED64: 8, FIXED32: 4}
_LONGEST = 10
"""Bytes of a varint: 64 bits, 7 in each."""
_PIECE = 1 << 20


class WireError(ValueError):
    """The bytes are not a message."""


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: of the field in its message.
        wire: how it is stored.
        start: where its content begins in the buffer.
        stop: where its content ends.
        value: of a `VARINT`, unsigned; 0 for any other.
    """

    number: int
    wire: int
    start: int
    stop: int
    value: int = 0


class Reader:
    """Finds the fields of messages in one buffer.

    Args:
        buffer: a file in memory, or mapped there.
        limit: the most fields that are read in all: a file with two bytes per field would keep a
            reader busy for hours.
    """

    def __init__(self, buffer: Buffer, *, limit: int) -> None:
        self.buffer, self._left, self._limit = buffer, limit, limit

    def fields(self, start: int, stop: int) -> Iterator[Field]:
        """The fields of the message in ``start..stop``, in their order.

        Raises:
            WireError: it is not a message, or the limit is reached.
        """
        at = start
        while at < stop:
            self._left -= 1
            if self._left < 0:
                raise WireError(f"it has more than {self._limit} fields")
            tag, at = self.varint(at, stop)
            number, wire, value = tag >> 3, tag & 7, 0
            if not 1 <= number < 1 << 29:
                raise WireError(f"byte {at}: the field number {number} is not valid")
            begin = at
            if wire == VARINT:
                value, at = self.varint(at, stop)
            elif wire == BYTES:
                length, begin = self.varint(at, stop)
                at = begin + length
            elif wire in _FIXED:
                at += _FIXED[wire]
            else:
                raise WireError(f"byte {at}: wire type {wire} of field {number} is unknown")
            if at > stop:
                raise WireError(
                    f"byte {begin}: field {number} ends at {at}, and its message at {stop}"
                )
            yield Field(number, wire, begin, at, value)

    def varint(self, at: int, stop: int) -> tuple[int, int]:
        """The unsigned number that begins at a byte, and where it ends.

        Raises:
            WireError: it is longer than 64 bits, or ends after ``stop``.
        """
        value = 0
        for index in range(_LONGEST):
            if at + index >= stop:
                raise WireError(f"byte {at}: a number ends after its message")
            byte = self.buffer[at + index]
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if value >= 1 << 64:
                    break
                return value, at + index + 1
        raise WireError(f"byte {at}: a number is longer than 64 bits")

    def bytes_of(self, field: Field, *, limit: int) -> bytes:
        """The content of a field.

        Raises:
            WireError: it is not `BYTES`, or longer than ``limit``.
        """
        self.expect(field, BYTES)
        if field.stop - field.start > limit:
            raise WireError(
                f"byte {field.start}: field {field.number} has {field.stop - field.start} bytes, "
                f"at most {limit} are read"
            )
        return self.buffer[field.start : field.stop]

    def numbers(self, field: Field, *, wire: int) -> int:
        """How many numbers a repeated field holds here: one, or any number where they are packed.

        Raises:
            WireError: its content is not such numbers.
        """
        if field.wire == wire:
            return 1
        self.expect(field, BYTES)
        length = field.stop - field.start
        if wire in _FIXED:
            if length % _FIXED[wire]:
                raise WireError(f"byte {field.start}: {length} bytes are not a row of numbers")
            return length // _FIXED[wire]
        if length and self.buffer[field.stop - 1] >= 0x80:
            raise WireError(f"byte {field.stop}: a number ends after its message")
        pieces = range(field.start, field.stop, _PIECE)
        return sum(self._ends(start, min(start + _PIECE, field.stop)) for start in pieces)

    def _ends(self, start: int, stop: int) -> int:
        """How many varints end in a range: each ends with its only byte below 128."""
        found = np.frombuffer(self.buffer[start:stop], np.uint8)
        return int(np.count_nonzero(found < 0x80))

    def expect(self, field: Field, wire: int) -> None:
        """Refuse a field that is stored in another way.

        Raises:
            WireError: it is.
        """
        if field.wire != wire:
            raise WireError(
                f"byte {field.start}: field {field.number} has wire type {field.wire}, not {wire}"
            )
