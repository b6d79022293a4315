"""Tables of paths: CSV against the csv module, Parquet against what was written, and bad ones."""

import csv
import os
import sys
import tracemalloc

import pyarrow
import pyarrow.parquet
import pytest

from lifeiqa.bulk.inputs import tables
from lifeiqa.bulk.inputs.expand import InputOptions, items
from lifeiqa.bulk.items import Address, Failure, File, Item, Video
from lifeiqa.errors import DatasetError, MissingDependencyError


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        csv.writer(stream).writerows(rows)
    return str(path)


def write_parquet(path, columns, **options):
    table = columns if isinstance(columns, pyarrow.Table) else pyarrow.table(columns)
    pyarrow.parquet.write_table(table, path, **options)
    return str(path)


def cells(path, column=None):
    return [cell for _, cell in tables.paths(path, column)]


ODD = ["a.png", "two\nlines.png", 'quote".png', "comma,.png", "é.png", " space.png"]


def test_a_csv_gives_its_cells_in_order(tmp_path):
    path = write_csv(tmp_path / "t.csv", [["score", "path"], *[[1, name] for name in ODD]])
    assert cells(path) == ODD


def test_a_parquet_table_gives_its_cells_in_order_through_every_batch(tmp_path):
    names = [f"{number}.png" if number % 7 else None for number in range(10_000)]
    path = write_parquet(
        tmp_path / "t.PARQUET", {"n": range(10_000), "path": names}, row_group_size=3000
    )
    assert cells(path) == names
    assert list(tables.paths(path))[-1] == ("row 10000", "9999.png")


@pytest.mark.parametrize(
    "kind",
    [pyarrow.large_string(), pyarrow.binary(), pyarrow.dictionary(pyarrow.int32(), "string")],
)
def test_text_in_a_parquet_table_may_be_stored_in_any_way(tmp_path, kind):
    column = pyarrow.array(["a.png", "é.png", "a.png"]).cast(kind)
    assert cells(write_parquet(tmp_path / "t.parquet", {"path": column})) == [
        "a.png",
        "é.png",
        "a.png",
    ]


def test_bytes_that_are_no_utf8_reach_the_file_system(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    assert cells(write_csv(tmp_path / "t.csv", [["path"], [name]])) == [name]
    column = pyarrow.array([b"caf\xe9.png"])
    assert cells(write_parquet(tmp_path / "t.parquet", {"path": column})) == [name]


def test_the_first_usual_column_counts_unless_one_is_named(tmp_path):
    rows = [["url", "image", "path"], ["u", "i", "p"]]
    assert cells(write_csv(tmp_path / "a.csv", rows)) == ["p"]
    assert cells(write_csv(tmp_path / "b.csv", [row[:2] for row in rows])) == ["i"]
    assert cells(write_csv(tmp_path / "c.csv", rows), "url") == ["u"]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_table_without_the_column_says_which_it_has(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        write_csv(path, [["photo", "score"], ["a.png", 1]])
    else:
        write_parquet(path, {"photo": ["a.png"], "score": [1]})
    for column, asked in ((None, "path or image_name"), ("image", "image")):
        with pytest.raises(DatasetError) as refused:
            list(items([str(path)], InputOptions(column=column)))
        assert str(refused.value).startswith(f"{path}: no column of paths named {asked}")
        assert "it has photo, score. Name it with --column" in str(refused.value)


def test_a_column_of_another_kind_is_refused(tmp_path):
    column = pyarrow.array([{"bytes": b"data", "path": "a.png"}])
    path = write_parquet(tmp_path / "t.parquet", {"image": column})
    with pytest.raises(DatasetError, match=r"column image holds struct<.*>, not text"):
        cells(path)


def test_a_byte_order_mark_and_blank_lines_are_passed_over(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfpath,score\r\n\r\na.png,1\r\n\r\nb.png\r\n")
    assert cells(str(path)) == ["a.png", "b.png"]


def test_relative_paths_start_at_the_table_and_names_stay_as_given(tmp_path):
    names = ["a.png", "below/b.mp4", "/abs.png", "http://host/c.png"]
    path = write_csv(tmp_path / "t.csv", [["path"], *[[name] for name in names]])
    here, elsewhere = (
        list(items([path], InputOptions(images=images, allow_http=True)))
        for images in (None, tmp_path / "images")
    )
    assert [item.name for item in here] == [item.name for item in elsewhere] == names
    assert here[0].origin == File(f"{tmp_path}/a.png")
    assert elsewhere[0].origin == File(f"{tmp_path}/images/a.png")
    assert elsewhere[2].origin == File("/abs.png")
    assert isinstance(elsewhere[1].origin, Video)
    assert elsewhere[1].origin.path == f"{tmp_path}/images/below/b.mp4"
    assert elsewhere[3].origin == Address("http://host/c.png")


def test_an_empty_cell_is_a_row_with_its_error(tmp_path):
    rows = [["score", "path"], [1, "a.png"], [2, ""], [3, "  "], [4], [5, "b.png"]]
    path = write_csv(tmp_path / "t.csv", rows)
    found = list(items([path]))
    empty = Failure("DatasetError", "the row has no path")
    assert [item.name for item in found] == [
        "a.png",
        f"{path}, line 3",
        f"{path}, line 4",
        f"{path}, line 5",
        "b.png",
    ]
    assert [item.origin for item in found[1:4]] == [empty] * 3
    path = write_parquet(tmp_path / "t.parquet", {"path": ["a.png", None, ""]})
    assert list(items([path]))[1:] == [Item(f"{path}, row {row}", empty) for row in (2, 3)]


def test_addresses_in_a_table_count_only_when_they_are_allowed(tmp_path):
    path = write_csv(tmp_path / "t.csv", [["url"], ["https://user:secret@host/a.png"]])
    (item,) = items([path])
    assert item.name == "https://host/a.png"
    assert "--allow-http" in item.origin.message


def test_a_table_without_rows_is_refused(tmp_path):
    paths = [write_csv(tmp_path / "t.csv", [["path"]])]
    paths.append(write_parquet(tmp_path / "t.parquet", {"path": pyarrow.array([], "string")}))
    for path in paths:
        with pytest.raises(DatasetError, match="no row"):
            list(items([path]))


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_what_is_no_table_is_refused_by_name(tmp_path, name):
    path = tmp_path / name
    for content in (None, b"", b"\x00\xff\x80" * 100):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DatasetError) as refused:
            list(items([str(path)]))
        assert str(refused.value).startswith(f"{path}: ")


def test_a_csv_that_is_damaged_further_down_gives_the_rows_before(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('path\na.png\nb.png\n"' + "x" * 200_000)  # a quote that is never closed
    *images, last = items([str(path)])
    assert [item.name for item in images] == ["a.png", "b.png"]
    assert last.name == str(path)
    assert last.origin.message.startswith("the table cannot be read: field larger")


def test_a_parquet_table_that_is_damaged_further_down_gives_the_rows_before(tmp_path):
    names = [f"{number:050d}.png" for number in range(20_000)]
    options = {"row_group_size": 5000, "compression": "zstd", "use_dictionary": False}
    path = tmp_path / "t.parquet"
    write_parquet(path, {"path": names}, **options)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(data)
    *images, last = items([str(path)])
    assert [item.name for item in images] == names[: len(images)]
    assert 5000 <= len(images) < 15_000
    assert last.origin.kind == "DatasetError"
    assert last.name == str(path)


def test_text_of_a_parquet_table_that_is_no_utf8_is_a_path_all_the_same(tmp_path):
    column = pyarrow.array([b"a.png", b"caf\xe9.png"]).view("string")
    path = write_parquet(tmp_path / "t.parquet", {"path": column})

    assert [item.name for item in items([path])] == ["a.png", "caf\\xe9.png"]
    assert os.fsencode(list(items([path]))[1].origin.path).endswith(b"caf\xe9.png")


@pytest.mark.parametrize("kind", ["string", "large_binary", "dictionary"])
def test_a_cell_that_is_too_long_for_a_path_is_refused(tmp_path, kind):
    """A dictionary makes gigabytes of a small file."""
    column = pyarrow.array(["a.png", "x" * 70_000])
    column = column.dictionary_encode() if kind == "dictionary" else column.cast(kind)
    path = write_parquet(tmp_path / "t.parquet", {"path": column})

    first, last = items([path])

    assert (first.name, last.name) == ("a.png", path)
    assert "a cell has 70,000 bytes; a path is expected" in last.origin.message


def test_a_line_of_a_csv_is_not_read_without_end(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("path\na.png\n" + "," * (2 << 20))

    first, last = items([str(path)])

    assert first.name == "a.png"
    assert "a line has more than 1,048,576 characters" in last.origin.message


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_that_is_no_regular_file_is_refused_at_once(tmp_path, suffix):
    pipe = tmp_path / f"pipe{suffix}"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path / f"device{suffix}"):
        if path != pipe:
            path.symlink_to("/dev/zero")
        with pytest.raises(DatasetError, match="cannot be read: not a regular file"):
            list(items([str(path)]))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_name_that_no_file_can_have_is_an_error_of_the_table(suffix):
    with pytest.raises(DatasetError, match="cannot be read: embedded null byte"):
        list(items([f"a\0b{suffix}"]))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "t.parquet", {"path": ["a.png"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"lifeiqa\[parquet\]"):
        list(items([path]))


def test_memory_does_not_grow_with_the_rows_of_a_csv(tmp_path):
    paths = [
        write_csv(tmp_path / f"{count}.csv", [["path"], *[[f"{n:080d}.png"] for n in range(count)]])
        for count in (1000, 10_000)
    ]
    peaks = []
    for path in paths:
        tracemalloc.start()
        try:
            assert sum(1 for _ in items([path])) == int(path.rsplit("/", 1)[1][:-4])
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 50_000
