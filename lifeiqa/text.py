"""Text that is safe to print: file names and messages that quote untrusted files."""

from __future__ import annotations

import os
import re

# Control characters, line ends, marks that change the writing direction, and surrogates, which
# stand for bytes that are not UTF-8.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(path: str | os.PathLike[str]) -> str:
    """A path, or a message about one, as one line of printable text.

    A file name may hold any bytes, even ones that move a terminal's cursor. Those are escaped.
    """
    return _UNPRINTABLE.sub(_escaped, os.fsdecode(path))


def printable_lines(message: object) -> str:
    """A message that may quote an untrusted file, escaped line by line."""
    return "\n".join(map(printable, str(message).split("\n")))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte
        return f"\\x{code - 0xDC00:02x}"
    return found[0].encode("unicode_escape", "surrogatepass").decode()
