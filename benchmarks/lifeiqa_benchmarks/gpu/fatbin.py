"""Machine code of GPUs inside a library: which chips it is for, and how to leave some out.

A library of CUDA holds, in its section ``.nv_fatbin``, containers of code for many chips, of which
the driver takes the entry that fits. To make such a library small, the code for all other
chips is set to zero: every address stays as it was, and zeros compress to nothing.

Layout, little-endian, as CUDA 11 to 13 write it: a container begins with the magic number, a u16
version, a u16 length of its header and a u64 length of its entries; an entry with a u16 kind, two
bytes, a u32 length of its header, a u64 length of its code, and the chip as a u32 at byte 28.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from lifeiqa.errors import ArtifactError

_MAGIC = 0xBA55ED50
_CONTAINER, _ENTRY, _CHIP_AT, _LEAST = struct.Struct("<IHHQ"), struct.Struct("<H2xIQ"), 28, 32
_SECTION = b".nv_fatbin"


class Code(NamedTuple):
    """One entry: ``chip`` is 90 for sm_90; ``start`` to ``stop`` are bytes of the file."""

    chip: int
    start: int
    stop: int


def codes_in(library: bytes | bytearray) -> list[Code]:
    """Every entry of a 64-bit ELF file; none for a library without code for GPUs.

    Raises:
        ArtifactError: it is no such file, or its entries are not laid out as described above.
    """
    found: list[Code] = []
    try:
        for start, stop in _sections(library, _SECTION):
            found += _entries(library, start, stop)
    except (struct.error, IndexError) as error:
        raise ArtifactError(f"not a library that can be read: {error}") from error
    return found


def keep_only(library: bytes, chip: int) -> bytes:
    """The library with zeros where code for other chips was; it runs on that chip alone.

    Raises:
        ArtifactError: it has no code for the chip, or see `codes_in`.
    """
    codes = codes_in(library)
    if codes and chip not in {code.chip for code in codes}:
        has = ", ".join(f"sm_{number}" for number in sorted({code.chip for code in codes}))
        raise ArtifactError(f"it has no code for sm_{chip}, but for {has}")
    kept = bytearray(library)
    for code in codes:
        if code.chip != chip:
            kept[code.start : code.stop] = bytes(code.stop - code.start)
    return bytes(kept)


def _sections(library: bytes | bytearray, name: bytes) -> Iterator[tuple[int, int]]:
    if library[:6] != b"\x7fELF\x02\x01":
        raise ArtifactError("not a 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", library, 40)
    size, count, names = struct.unpack_from("<HHH", library, 58)
    heads = [struct.unpack_from("<II4Q", library, table + size * each) for each in range(count)]
    for title, _, _, _, offset, length in heads:
        begin = heads[names][4] + title
        if library[begin : begin + len(name) + 1] == name + b"\0":
            yield offset, offset + length


def _entries(library: bytes | bytearray, at: int, stop: int) -> Iterator[Code]:
    while at + _CONTAINER.size <= stop:
        magic, _, header, length = _CONTAINER.unpack_from(library, at)
        if magic == 0 and not any(library[at:stop]):
            return  # filled up to the end of the section
        if magic != _MAGIC or at + header + length > stop:
            raise ArtifactError(f"no container of code at byte {at}")
        at += header
        end = at + length
        while at < end:
            _, header, length = _ENTRY.unpack_from(library, at)
            if header < _LEAST or at + header + length > end:
                raise ArtifactError(f"no entry of code at byte {at}")
            (chip,) = struct.unpack_from("<I", library, at + _CHIP_AT)
            yield Code(chip, at + header, at + header + length)
            at += header + length
