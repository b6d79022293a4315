"""What a run has scored so far, on disk, so that memory does not grow with it.

One SQLite file, in the output folder or temporary. Each shard is written in one transaction, so
that after a kill the ledger contains only complete shards.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from dataclasses import astuple, dataclass
from pathlib import Path

from lifeiqa.bulk.outputs.sqlite_errors import explained
from lifeiqa.runtimes.base import Closeable

_TABLES = """
CREATE TABLE IF NOT EXISTS images (
    digest BLOB PRIMARY KEY, score REAL, std REAL, shard INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS images_by_shard ON images (shard);
CREATE TABLE IF NOT EXISTS shards (
    number INTEGER PRIMARY KEY, items INTEGER, names BLOB, rows INTEGER, failures INTEGER
);
"""


@dataclass(frozen=True)
class Known:
    """The score of an earlier image, and its standard deviation over the crops."""

    score: float
    std: float


@dataclass(frozen=True)
class Shard:
    """A finished shard.

    Attributes:
        number: from 0.
        items: number of its inputs.
        names: sha256 over the names of the inputs, in order.
        rows: number of its rows; a video has several.
        failures: number of rows with an error.
    """

    number: int
    items: int
    names: bytes
    rows: int
    failures: int


class Ledger(Closeable):
    """Scores by the digest of the image, and the finished shards.

    Args:
        path: the file; None for a temporary one.

    Raises:
        OutputError: from every method: the file cannot be written, or is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._name = str(path or "the temporary ledger (SQLITE_TMPDIR names its folder)")
        self._shard = 0
        with self._explained():
            self._database = sqlite3.connect(path or "", isolation_level=None)
            self._database.executescript(_TABLES)
        self._begin()

    def known(self, digest: bytes) -> Known | None:
        """The score of an image that was scored before; else None."""
        query = "SELECT score, std FROM images WHERE digest = ?"
        with self._explained():
            found = self._database.execute(query, [digest]).fetchone()
        # SQLite cannot store NaN: it stores NULL instead.
        return Known(*(math.nan if value is None else value for value in found)) if found else None

    def remember(self, digest: bytes, known: Known) -> None:
        """Add a score. It becomes permanent when the current shard is finished."""
        values = [digest, known.score, known.std, self._shard]
        with self._explained():
            self._database.execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?)", values)

    def finish(self, shard: Shard) -> None:
        """Add a finished shard, with all scores that were added since the shard before."""
        with self._explained():
            self._database.execute("INSERT INTO shards VALUES (?, ?, ?, ?, ?)", astuple(shard))
            self._database.execute("COMMIT")
        self._shard = shard.number + 1
        self._begin()

    def shards(self) -> list[Shard]:
        """The finished shards, in order."""
        query = "SELECT number, items, names, rows, failures FROM shards ORDER BY number"
        with self._explained():
            return [Shard(*values) for values in self._database.execute(query)]

    def forget_from(self, number: int) -> None:
        """Forget this shard and all later ones, which will be made again."""
        with self._explained():
            self._database.execute("DELETE FROM images WHERE shard >= ?", [number])
            self._database.execute("DELETE FROM shards WHERE number >= ?", [number])
            self._database.execute("COMMIT")
        self._shard = number
        self._begin()

    def close(self) -> None:
        """Close the file. Scores of an unfinished shard are lost."""
        self._database.close()

    def _begin(self) -> None:
        with self._explained():
            self._database.execute("BEGIN")

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return explained(self._name)
