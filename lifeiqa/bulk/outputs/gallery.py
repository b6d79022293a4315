"""Rows and thumbnails on disk, read in the order of the scores once all are written.

One SQLite file, so that memory is bounded. After a kill, each batch is in it as a whole or not at
all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from lifeiqa.bulk.outputs.sqlite_errors import explained
from lifeiqa.bulk.rows import Row
from lifeiqa.errors import OutputError
from lifeiqa.runtimes.base import Closeable

Entry: TypeAlias = tuple[Row, bytes | None]
"""A row and its thumbnail, a small WebP."""

_FORMAT = 3
"""Version of the tables, stored in ``user_version``."""
_CACHE_KIB = 16 * 1024
# The rows of batch N are numbered from N times this. So a batch is a range of the primary key, and
# the order of equal scores does not depend on whether a run was resumed.
_BATCH_SPAN = 1 << 32

_COLUMNS = [field.name for field in dataclasses.fields(Row)]
_FAILED = "score IS NULL"
_VIDEO = "score IS NOT NULL AND p5 IS NOT NULL"
_IMAGE = "score IS NOT NULL AND p5 IS NULL"
# The columns have no types, so that values are read as they were written. A row with its thumbnail
# has 3 KB: what is counted and sorted is in an index, which stays small.
_TABLES = f"""
CREATE TABLE batches (number INTEGER PRIMARY KEY, rows INTEGER);
CREATE TABLE rows (id INTEGER PRIMARY KEY, {", ".join(_COLUMNS)}, thumbnail);
CREATE INDEX images ON rows (score, frame) WHERE {_IMAGE};
CREATE INDEX videos ON rows (score) WHERE {_VIDEO};
CREATE INDEX failures ON rows (error) WHERE {_FAILED};
PRAGMA user_version = {_FORMAT};
"""


@dataclass(frozen=True)
class Counts:
    """Number of rows of each kind.

    Attributes:
        images: images and frames with a score.
        frames: frames with a score.
        videos: videos with a score, pooled over their frames.
        failures: rows without a score.
    """

    images: int
    frames: int
    videos: int
    failures: int


class Gallery(Closeable):
    """Every row of a run with its thumbnail. Use it as a context manager, or call `close`.

    A row is an image (or a frame), a video (it has ``p5``), or a failure (it has no score).

    Args:
        path: the file, created if it does not exist; None takes a temporary file, which disappears
            when the gallery is closed or its process is killed.

    Raises:
        OutputError: the file cannot be opened, or is not a gallery of this version. All methods
            raise it too, if the disk is full or the file is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.name = "the temporary gallery (SQLITE_TMPDIR names its folder)"
        if path is not None:
            self.name = str(path)
        with self._explained():
            # SQLite's own temporary file has no name, so a killed process leaves nothing behind.
            self._connection = sqlite3.connect(path or "", isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        with self._explained():
            self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            found = self._number("PRAGMA user_version")
            if found == 0 and self._number("SELECT count(*) FROM sqlite_schema") == 0:
                self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
            elif found != _FORMAT:
                raise OutputError(
                    f"{self.name}: not a gallery of format {_FORMAT} (its version is {found}). "
                    f"Name another file, or delete this one and score again"
                )

    @contextlib.contextmanager
    def batch(self, number: int) -> Iterator[Callable[[Row, bytes | None], None]]:
        """Yield a function that adds a row and its thumbnail. All rows are kept, or none.

        An earlier batch of this number is replaced. If the block raises, or the process is killed,
        the gallery is unchanged.

        Args:
            number: from 0. Rows of equal scores are read in the order of their batches.
        """
        first = number * _BATCH_SPAN
        places = ", ".join("?" * (len(_COLUMNS) + 2))
        ids = iter(range(first, first + _BATCH_SPAN))

        def add(row: Row, thumbnail: bytes | None) -> None:
            with self._explained():
                self._connection.execute(
                    f"INSERT INTO rows VALUES ({places})", (next(ids), *_values(row), thumbnail)
                )

        with self._transaction():
            self._delete(first, first + _BATCH_SPAN)
            yield add
            with self._explained():
                self._connection.execute(
                    "REPLACE INTO batches VALUES (?, ?)", (number, next(ids) - first)
                )

    def batches(self) -> dict[int, int]:
        """Number of rows of each batch, by the number of the batch."""
        with self._explained():
            return dict(self._connection.execute("SELECT number, rows FROM batches").fetchall())

    def drop_from(self, number: int) -> None:
        """Delete the batches from this number on."""
        with self._transaction():
            self._delete(number * _BATCH_SPAN, 1 << 62)
            with self._explained():
                self._connection.execute("DELETE FROM batches WHERE number >= ?", (number,))

    def counts(self) -> Counts:
        """Number of rows of each kind."""
        with self._explained():
            return Counts(
                self._number(f"SELECT count(*) FROM rows WHERE {_IMAGE}"),
                self._number(f"SELECT count(frame) FROM rows WHERE {_IMAGE}"),
                self._number(f"SELECT count(*) FROM rows WHERE {_VIDEO}"),
                self._number(f"SELECT count(*) FROM rows WHERE {_FAILED}"),
            )

    def extent(self) -> tuple[float, float] | None:
        """Lowest and highest score of an image; None if there is no image."""
        with self._explained():
            # Two queries: SQLite reads one end of the index for each, but scans it for both.
            low, high = (
                self._connection.execute(
                    f"SELECT {end}(score) FROM rows WHERE {_IMAGE}"
                ).fetchone()[0]
                for end in ("min", "max")
            )
        return None if low is None else (low, high)

    def histogram(self, edges: Sequence[float]) -> list[int]:
        """Number of images with ``edges[i] <= score < edges[i + 1]``, for each i."""
        query = f"SELECT count(*) FROM rows WHERE {_IMAGE} AND score >= ? AND score < ?"
        with self._explained():
            return [self._number(query, bounds) for bounds in pairwise(edges)]

    def images(self, *, lowest: bool, limit: int) -> Iterator[Entry]:
        """Images and frames by score, from the lowest up or from the highest down.

        Equal scores come in the order in which they were added, or in reverse. So the lowest n and
        the highest m are different rows if there are at least n + m.
        """
        way = "ASC" if lowest else "DESC"
        return self._entries(
            f"WHERE {_IMAGE} ORDER BY score {way}, frame {way}, id {way} LIMIT ?", limit
        )

    def videos(self, *, lowest: bool, limit: int) -> Iterator[Entry]:
        """Videos by their pooled score, from the lowest up or from the highest down."""
        way = "ASC" if lowest else "DESC"
        return self._entries(f"WHERE {_VIDEO} ORDER BY score {way}, id {way} LIMIT ?", limit)

    def failure_counts(self) -> dict[str, int]:
        """Number of failures of each error class, the most frequent first."""
        query = (
            f"SELECT error, count(*) FROM rows WHERE {_FAILED} GROUP BY error ORDER BY 2 DESC, 1"
        )
        with self._explained():
            return dict(self._connection.execute(query).fetchall())

    def failures(self, *, limit: int) -> Iterator[Entry]:
        """Failures by error class, in the order of `failure_counts`, at most ``limit`` of each."""
        for error in self.failure_counts():
            yield from self._entries(
                f"WHERE {_FAILED} AND error = ? ORDER BY id LIMIT ?", error, limit
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _entries(self, condition: str, *values: object) -> Iterator[Entry]:
        with self._explained():
            for *columns, thumbnail in self._connection.execute(
                f"SELECT {', '.join(_COLUMNS)}, thumbnail FROM rows {condition}", values
            ):
                yield Row(**dict(zip(_COLUMNS, columns, strict=True))), thumbnail

    def _number(self, query: str, values: Sequence[object] = ()) -> int:
        return int(self._connection.execute(query, values).fetchone()[0])

    def _delete(self, first: int, end: int) -> None:
        self._connection.execute("DELETE FROM rows WHERE id >= ? AND id < ?", (first, end))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:  # a full disk rolls back by itself
                    self._connection.execute("ROLLBACK")

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return explained(self.name)


def _values(row: Row) -> list[object]:
    """The columns of a row as both SQLite and JSON can store them: finite numbers, UTF-8 text."""
    if row.score is None:
        row = dataclasses.replace(row, error=row.error or "LifeIQAError")
    elif not math.isfinite(row.score):
        message = f"the model returned {row.score}"
        row = dataclasses.replace(row, error="ValueError", message=message)
    return [_storable(getattr(row, name)) for name in _COLUMNS]


def _storable(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value
