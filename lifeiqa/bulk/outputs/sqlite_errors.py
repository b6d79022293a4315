"""Errors of the SQLite files of a run, with advice."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from lifeiqa.errors import OutputError

_DAMAGED = "It is damaged: delete it and run the same command again"
_ADVICE = {
    sqlite3.SQLITE_FULL: "Free space on its disk and run the same command again",
    sqlite3.SQLITE_IOERR: "Check its disk and run the same command again",
    sqlite3.SQLITE_BUSY: "Another run writes it: wait until that ends",
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
}


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn an error of SQLite into one that says what to do.

    Args:
        name: of the file, in messages.

    Raises:
        OutputError: with the name and the cause.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # not from SQLite: the code here is wrong
            raise
        advice = _ADVICE.get(code & 0xFF, "Name a file that can be written")
        raise OutputError(f"{name}: {error}. {advice}") from error
