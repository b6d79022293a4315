"""Rows as text and as Parquet."""

import csv
import io
import json
from dataclasses import asdict, fields

import pytest

from lifeiqa.bulk.outputs.writers import open_writer
from lifeiqa.bulk.rows import Row

MODEL = {"model": "tiny", "model_sha256": "ab" * 32}
GOOD = Row(path="ä, b.png", score=0.1 + 0.2, std=0.0, width=3, height=4, crops=5, **MODEL)
BAD = Row(path='the "worst"', error="ImageError", message="not, an image", **MODEL)
FRAME = Row(
    path="a.mp4", score=0.5, std=0.25, width=3, height=4, crops=1, frame=7, time=1.5, **MODEL
)
VIDEO = Row(
    path="a.mp4",
    score=0.5,
    std=0.1,
    width=3,
    height=4,
    crops=9,
    p5=0.25,
    worst_second=0.125,
    worst_time=2.0,
    **MODEL,
)
ROWS = [GOOD, BAD, FRAME, VIDEO]


def written(style, rows=ROWS):
    stream = io.BytesIO()
    writer = open_writer(style, stream)
    for row in rows:
        writer.write(row)
    writer.close()
    return stream.getvalue()


def test_a_table_is_for_people():
    assert written("table").decode().splitlines() == [
        "    score       std  path",
        "   0.3000    0.0000  ä, b.png",
        '    error            the "worst": not, an image',
        "   0.5000    0.2500  a.mp4 at 1.50 s",
        "   0.5000    0.1000  a.mp4 (whole video: p5 0.2500, worst second 0.1250 at 2 s)",
    ]


def test_csv_holds_every_column_to_the_last_bit():
    read = list(csv.DictReader(io.StringIO(written("csv").decode(), newline="")))

    for row, values in zip(ROWS, read, strict=True):
        expected = {
            name: "" if value is None else str(value) for name, value in asdict(row).items()
        }
        assert values == expected
    assert float(read[0]["score"]) == GOOD.score


def test_json_lines_leave_out_what_there_is_not():
    read = [json.loads(line) for line in written("jsonl").splitlines()]

    for row, values in zip(ROWS, read, strict=True):
        assert values == {name: value for name, value in asdict(row).items() if value is not None}


def test_parquet_holds_every_column_with_its_type():
    parquet = pytest.importorskip("pyarrow.parquet")

    table = parquet.read_table(io.BytesIO(written("parquet")))

    assert table.to_pylist() == [asdict(row) for row in ROWS]
    types = {field.name: str(field.type) for field in table.schema}
    assert list(types) == [column.name for column in fields(Row)]
    assert types["score"] == "double"
    assert types["width"] == types["frame"] == "int64"
    assert types["error"] == types["path"] == "string"


def test_parquet_of_many_rows_is_written_in_groups():
    parquet = pytest.importorskip("pyarrow.parquet")

    read = parquet.ParquetFile(io.BytesIO(written("parquet", [GOOD] * 2500)))

    assert [read.metadata.row_group(n).num_rows for n in range(read.num_row_groups)] == [
        1000,
        1000,
        500,
    ]


@pytest.mark.parametrize("style", ["table", "csv"])
def test_a_header_stands_above_no_rows(style):
    assert written(style, []).count(b"\n") == 1


def test_nothing_is_written_before_the_first_row():
    stream = io.BytesIO()
    open_writer("csv", stream)

    assert stream.getvalue() == b""


@pytest.mark.parametrize("style", ["table", "csv", "jsonl"])
def test_text_can_be_read_as_it_is_written(style):
    stream = io.BytesIO()
    writer = open_writer(style, stream)
    writer.write(GOOD)

    assert b"b.png" in stream.getvalue()
