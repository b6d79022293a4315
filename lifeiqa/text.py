"""Text that is safe to print: file names and messages that quote untrusted files."""

from __future__ import annotations

import os
import re

# Control characters, ends of lines, what changes the direction of writing, and bytes that are no
# UTF-8, which Python has as surrogates.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(path: str | os.PathLike[str]) -> str:
    """A path, or what a library says of one, as text that can be printed; one line.

    A name may hold any bytes, among them what moves a terminal's cursor: such are escaped.
    """
    return _UNPRINTABLE.sub(_escaped, os.fsdecode(path))


def printable_lines(message: object) -> str:
    """A message may quote a stranger's file, and keeps its lines."""
    return "\n".join(map(printable, str(message).split("\n")))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte
        return f"\\x{code - 0xDC00:02x}"
    return found[0].encode("unicode_escape", "surrogatepass").decode()
