"""SQLite files of a run: what is said when one cannot be read or written."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from lifeiqa.errors import OutputError

_DAMAGED = "It is damaged: delete it and run the same command again"
_ADVICE = {
    sqlite3.SQLITE_FULL: "Free space on its disk and run the same command again",
    sqlite3.SQLITE_IOERR: "Look after its disk and run the same command again",
    sqlite3.SQLITE_BUSY: "Another run writes it: wait for its end",
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
}


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn an error of SQLite into one that says what to do.

    Args:
        name: of the file, as a message calls it.

    Raises:
        OutputError: with the name and the cause.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # not SQLite's: a wrong use of it here
            raise
        advice = _ADVICE.get(code & 0xFF, "Name a file that can be written")
        raise OutputError(f"{name}: {error}. {advice}") from error
