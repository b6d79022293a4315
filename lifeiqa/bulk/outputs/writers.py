"""Write rows as a table for people, CSV, JSON lines or Parquet to a binary stream."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, astuple, fields
from typing import IO, Any, Literal, Protocol

from lifeiqa.bulk.rows import Row
from lifeiqa.errors import require

Style = Literal["table", "csv", "jsonl", "parquet"]

_GROUP = 1000  # rows in a row group of Parquet
_ARROW = {"int | None": "int64", "float | None": "float64", "str": "string", "str | None": "string"}


class Writer(Protocol):
    """Takes rows one by one. The output is complete once it is closed."""

    def write(self, row: Row) -> None:
        """Write one row. Text is flushed, so that the reader of a pipe need not wait."""
        ...

    def close(self) -> None:
        """Write what is buffered. The stream stays open."""
        ...


def open_writer(style: Style, stream: IO[bytes], *, heading: str = "") -> Writer:
    """A writer for a stream.

    The header is written with the first row, so that after an earlier error the output is empty.

    Args:
        style: format of the rows.
        stream: takes the rows.
        heading: a line above a table, which has no column for it.

    Raises:
        MissingDependencyError: Parquet needs pyarrow.
    """
    if style == "parquet":
        return _ParquetWriter(stream)
    header, line = {"table": _TABLE, "csv": _CSV, "jsonl": _JSONL}[style]
    if style == "table" and heading:
        header = f"{heading}\n{header}"
    return _TextWriter(stream, header, line)


class _TextWriter:
    def __init__(self, stream: IO[bytes], header: str, line: Callable[[Row], str]) -> None:
        self._stream = stream
        self._header = header
        self._line = line

    def write(self, row: Row) -> None:
        self._write(self._line(row))

    def close(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        self._stream.write((self._header + text).encode())
        self._stream.flush()
        self._header = ""


def _table_line(row: Row) -> str:
    name = row.path if row.time is None else f"{row.path} at {row.time:.2f} s"
    if row.score is None:
        return f"{'error':>9}  {'':8}  {name}: {row.message}\n"
    if row.worst_second is not None:
        name += f" (whole video: p5 {row.p5:.4f}, worst second {row.worst_second:.4f} "
        name += f"at {row.worst_time:g} s)"
    return f"{row.score:9.4f}  {row.std:8.4f}  {name}\n"


def _csv_line(values: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow("" if v is None else v for v in values)
    return text.getvalue()


def _json_line(row: Row) -> str:
    values = {name: value for name, value in asdict(row).items() if value is not None}
    return json.dumps(values, ensure_ascii=False) + "\n"


_TABLE = (f"{'score':>9}  {'std':>8}  path\n", _table_line)
_CSV = (_csv_line(column.name for column in fields(Row)), lambda row: _csv_line(astuple(row)))
_JSONL = ("", _json_line)


class _ParquetWriter:
    def __init__(self, stream: IO[bytes]) -> None:
        pa: Any = require("pyarrow", extra="parquet", purpose="writing Parquet")
        parquet: Any = require("pyarrow.parquet", extra="parquet", purpose="writing Parquet")
        columns = [
            (column.name, pa.type_for_alias(_ARROW[str(column.type)])) for column in fields(Row)
        ]
        self._schema = pa.schema(columns)
        self._rows: list[dict[str, Any]] = []
        self._batch = pa.RecordBatch.from_pylist
        self._file = parquet.ParquetWriter(stream, self._schema)

    def write(self, row: Row) -> None:
        self._rows.append(asdict(row))
        if len(self._rows) == _GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        self._file.write_batch(self._batch(self._rows, schema=self._schema))
        self._rows.clear()
