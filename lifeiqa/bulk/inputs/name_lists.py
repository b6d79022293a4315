"""Lists of names as ``find`` writes them: one per line, or each ended by a NUL byte."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

from lifeiqa.errors import DatasetError

_LONGEST = 1 << 16
"""Bytes of one name. The longest path on Linux has 4,096; a signed address has some thousands."""


def names(stream: io.BufferedIOBase, *, nul: bool = False) -> Iterator[str]:
    r"""The names of a list, as soon as they are written. Empty names are skipped.

    Args:
        stream: the list. At most one block of it is in memory.
        nul: names are separated by NUL bytes, and may contain any other byte, also line ends.
            Otherwise they are separated by line ends, "\n" or "\r\n".

    Raises:
        DatasetError: a name has more than 65,536 bytes, so this is not a list of names.
    """
    separator = b"\0" if nul else b"\n"
    rest = b""
    while block := stream.read1(_LONGEST):
        *whole, rest = (rest + block).split(separator)
        for name in whole:
            yield from _name(name, nul)
        _require_short(rest)
    yield from _name(rest, nul)


def _name(name: bytes, nul: bool) -> Iterator[str]:
    _require_short(name)
    name = name if nul else name.removesuffix(b"\r")
    if name:
        yield os.fsdecode(name)


def _require_short(name: bytes) -> None:
    if len(name) > _LONGEST:
        raise DatasetError(
            f"a name in the list has more than {_LONGEST:,} bytes; it begins with {name[:20]!r}. "
            f"Write one name per line, or separate names by NUL bytes and pass --null"
        )
