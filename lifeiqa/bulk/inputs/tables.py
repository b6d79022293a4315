"""Tables of image paths, CSV or Parquet, read piece by piece."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from lifeiqa.errors import DatasetError, require
from lifeiqa.files import require_regular
from lifeiqa.text import printable

TABLE_SUFFIXES = (".csv", ".parquet")
"""File name endings of tables."""
# fmt: off
USUAL_COLUMNS = (
    "path", "image_name", "image", "file", "filename", "file_name", "image_path", "dis_img_path",
    "dist_name", "url",
)
# fmt: on
"""Usual names of a column of paths. The first that a table has is used, unless one is named."""
_ROWS = 4096
_LONGEST_LINE = 1 << 20  # characters
_LONGEST_PATH = 1 << 16  # bytes
_TEXTS = ("string", "large_string", "string_view", "binary", "large_binary", "binary_view", "null")


def paths(table: str, column: str | None = None) -> Iterator[tuple[str, str | None]]:
    """For each row of a table, its name in messages, and its path; None for an empty cell.

    Args:
        table: path of a CSV with a header, in UTF-8 or with raw bytes in file names, or of a
            Parquet file.
        column: the column of paths; None takes the first of `USUAL_COLUMNS` that the table has.

    Raises:
        DatasetError: the table cannot be read, or not to its end, or it has no such column.
        MissingDependencyError: pyarrow is not installed, and it is a Parquet file.
    """
    read = _parquet if table.lower().endswith(".parquet") else _csv
    return read(table, column)


def _csv(table: str, column: str | None) -> Iterator[tuple[str, str | None]]:
    try:
        # Bytes that are not UTF-8 become surrogates, as in any path.
        require_regular(table)
        with Path(table).open(newline="", encoding="utf-8-sig", errors="surrogateescape") as stream:
            rows = csv.reader(_lines(stream), strict=True)
            at = _index(table, next(rows, []), column)
            for row in rows:
                if row:  # skip blank lines
                    yield f"line {rows.line_num}", _text(row[at] if at < len(row) else None)
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(table, error) from error


def _lines(stream: TextIO) -> Iterator[str]:
    while line := stream.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"a line has more than {_LONGEST_LINE:,} characters")
        yield line


def _parquet(table: str, column: str | None) -> Iterator[tuple[str, str | None]]:
    arrow = require("pyarrow", extra="parquet", purpose="reading a Parquet table")
    parquet = require("pyarrow.parquet", extra="parquet", purpose="reading a Parquet table")
    row = 0
    try:
        require_regular(table)
        with Path(table).open("rb") as stream, parquet.ParquetFile(stream) as file:
            names = file.schema_arrow.names
            at = _index(table, names, column)
            kind = file.schema_arrow.field(at).type
            if arrow.types.is_dictionary(kind):
                kind = kind.value_type
            if str(kind) not in _TEXTS:
                raise DatasetError(
                    f"{printable(table)}: column {printable(names[at])} holds {kind}, not text. "
                    f"Name a column of paths with --column"
                )
            # Arrow's threads would not survive a later fork.
            for batch in file.iter_batches(_ROWS, columns=[names[at]], use_threads=False):
                for scalar in batch.column(0):
                    row += 1
                    yield f"row {row}", _text(_cell(arrow, scalar))
    except (OSError, ValueError, arrow.ArrowException) as error:
        raise _unreadable(table, error) from error


def _cell(arrow: Any, scalar: Any) -> bytes | None:
    """The bytes of a cell. One that is too long for a path is refused before it is copied."""
    if isinstance(scalar, arrow.DictionaryScalar):
        scalar = scalar.value
    if not scalar.is_valid:
        return None
    content = scalar.as_buffer()
    if content.size > _LONGEST_PATH:
        raise ValueError(f"a cell has {content.size:,} bytes; a path is expected")
    return bytes(content)


def _text(cell: str | bytes | None) -> str | None:
    return os.fsdecode(cell) if cell and cell.strip() else None


def _index(table: str, columns: Sequence[str], column: str | None) -> int:
    for name in USUAL_COLUMNS if column is None else (column,):
        if name in columns:
            return columns.index(name)
    raise DatasetError(
        f"{printable(table)}: no column of paths named "
        f"{printable(column or ' or '.join(USUAL_COLUMNS))}; "
        f"it has {printable(', '.join(columns)) or 'no header'}. Name it with --column"
    )


def _unreadable(table: str, error: Exception) -> DatasetError:
    cause = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return DatasetError(f"{printable(table)}: the table cannot be read: {printable(cause)}")
