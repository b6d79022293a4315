"""A split is saved by names and fits every copy of its data set."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from helpers.tables import table
from lifeiqa.data.split_sampling import make_split, subset
from lifeiqa.data.splits import Split, read_split, write_split
from lifeiqa.errors import DatasetError


def test_a_file_name_that_is_not_utf8_can_be_drawn(tmp_path):
    whole = dataclasses.replace(
        table(4), paths=tuple(Path(os.fsdecode(b"caf\xe9%d.png" % row)) for row in range(4))
    )

    split = make_split(whole, val=0)
    write_split(tmp_path / "split.json", split)

    assert read_split(tmp_path / "split.json") == split


@pytest.mark.parametrize("share", [1, 0.5])
def test_a_split_is_saved_by_name_and_fits_another_copy(tmp_path, share):
    whole, copy = table(20), table(20, root=str(tmp_path))
    split = subset(make_split(whole), whole, share)
    write_split(tmp_path / "run" / "split.json", split)

    read = read_split(tmp_path / "run" / "split.json")

    assert read == split
    assert read.rows(copy) == split.rows(whole)
    saved = json.loads((tmp_path / "run" / "split.json").read_text())
    assert saved["test"] == list(split.test)
    assert {name.partition("/")[0] for name in saved["test"]} <= {"a", "b"}


def test_tables_are_the_rows_of_the_parts_under_their_names():
    whole = table(20)
    split = make_split(whole)

    for part, rows, name in zip(
        split.tables(whole), split.rows(whole).values(), ("train", "val", "test"), strict=True
    ):
        assert part.name == f"demo {name}"
        assert part.paths == tuple(whole.paths[row] for row in rows)
        assert part.scores == tuple(whole.scores[row] for row in rows)


def test_a_split_of_another_table_is_refused():
    split = make_split(table(20))
    renamed = dataclasses.replace(
        table(20), paths=tuple(Path(f"data/{'ab'[row % 2]}/x{row}.png") for row in range(20))
    )

    with pytest.raises(DatasetError, match="is of 20 images, the table has 21; 0 images"):
        split.tables(table(21))
    with pytest.raises(DatasetError, match=r"20 images of the split are not in it, first [ab]/"):
        split.tables(renamed)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "fold"},
        {"test": ["a/0.png", "a/0.png"]},
        {"train": []},
        {"train": None},
        {"train": [1, 2]},
        {"train": [["a/0.png"]]},
        {"images": "ten"},
        {"images": 11},
        {"fold": 1},
    ],
)
def test_what_is_no_split_is_refused_with_its_file(tmp_path, change):
    path = tmp_path / "split.json"
    path.write_text(json.dumps({**make_split(table(10)).to_dict(), **change}))

    with pytest.raises(DatasetError) as caught:
        read_split(path)

    assert str(caught.value).startswith(f"{path}: this is no split")


@pytest.mark.parametrize("text", ["", "dear diary", "[]", "3", '"train"', "{}"])
def test_other_json_is_refused_with_its_file(tmp_path, text):
    path = tmp_path / "split.json"
    path.write_text(text)

    with pytest.raises(DatasetError) as caught:
        read_split(path)

    assert str(path) in str(caught.value)


def test_a_split_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_split(tmp_path / "none.json")


def test_a_split_is_plain_data():
    split = make_split(table(10))

    assert Split.from_dict(split.to_dict()) == split
