"""Splits drawn from a seed: shares, folds, references together."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tables import table
from lifeiqa.data.split_sampling import folds, make_split, subset
from lifeiqa.data.splits import read_split, write_split
from lifeiqa.data.table import Table
from lifeiqa.errors import ConfigError, DatasetError


def references_of(part: Table) -> set[str]:
    assert part.references is not None
    return set(part.references)


@pytest.mark.parametrize("images", [3, 10, 101])
@pytest.mark.parametrize("val", [0, 0.1, 0.5])
def test_every_image_is_in_one_part(images, val):
    whole = table(images)

    rows = make_split(whole, val=val).rows(whole)

    assert sorted(itertools.chain(*rows.values())) == list(range(images))
    assert all(part == sorted(part) for part in rows.values())


def test_shares_are_of_all_images_and_then_of_what_is_left():
    split = make_split(table(100), test=0.2, val=0.1)

    assert [len(part) for part in (split.train, split.val, split.test)] == [72, 8, 20]


def test_no_validation_is_the_protocol_of_the_literature():
    split = make_split(table(100), val=0)

    assert [len(part) for part in (split.train, split.val, split.test)] == [80, 0, 20]


@pytest.mark.parametrize("references", [3, 25, 29, 30, 81])
@pytest.mark.parametrize("seed", range(5))
def test_no_reference_is_in_two_parts(references, seed):
    whole = table(references * 4, references=references)

    split = make_split(whole, seed=seed)

    parts = [references_of(part) for part in split.tables(whole)]
    assert split.method == "reference"
    assert sum(map(len, parts)) == references == len(set.union(*parts))
    assert len(parts[2]) == round(0.2 * references) or (references, len(parts[2])) == (3, 1)


def test_a_split_by_image_may_be_asked_for_where_there_are_references():
    whole = table(100, references=5)

    train, _, test = make_split(whole, method="random").tables(whole)

    assert references_of(train) & references_of(test)


def test_an_official_split_is_kept_whole():
    parts = "ttttvvxxx"
    whole = table(9, parts=parts)

    split = make_split(whole, seed=3, test=0.5, val=0.5)

    assert split.method == "official"
    assert split.rows(whole) == {"train": [0, 1, 2, 3], "val": [4, 5], "test": [6, 7, 8]}


@pytest.mark.parametrize(("val", "held"), [(0, 0), (0.25, 2)])
def test_an_official_split_without_validation_gives_some_of_its_training_part(val, held):
    whole = table(12, parts="tttttttt" + "xxxx")

    split = make_split(whole, val=val)

    assert split.rows(whole)["test"] == [8, 9, 10, 11]
    assert len(split.val) == held
    assert len(split.train) == 8 - held


def test_validation_taken_of_an_official_split_shares_no_reference_with_training():
    whole = table(40, references=8, parts="t" * 32 + "x" * 8)

    train, val, _ = make_split(whole, val=0.3).tables(whole)

    assert references_of(val)
    assert not references_of(train) & references_of(val)


@pytest.mark.parametrize("parts", ["ttttvv", "xxxvv", "vvvv"])
def test_an_official_split_needs_training_and_test_rows(parts):
    with pytest.raises(DatasetError, match="choose the method random or reference"):
        make_split(table(len(parts), parts=parts))


def test_a_seed_gives_one_split_and_another_seed_another():
    whole = table(50)

    assert make_split(whole, seed=1) == make_split(whole, seed=1)
    tests = {make_split(whole, seed=seed).test for seed in range(20)}
    assert len(tests) == 20


def test_every_image_is_tested_under_some_seed_and_as_often_as_another():
    whole = table(20)
    times = [0] * 20
    for seed in range(500):
        for row in make_split(whole, seed=seed, val=0).rows(whole)["test"]:
            times[row] += 1

    # 100 expected, with a standard deviation of 9.
    assert all(60 < time < 140 for time in times), times


def test_the_order_of_the_rows_and_the_place_of_the_images_change_nothing():
    whole = table(40)
    turned = table(40, root="/elsewhere/copy").take(range(39, -1, -1))

    one, other = make_split(whole), make_split(turned)

    assert set(one.test) == set(other.test)
    assert set(one.val) == set(other.val)


def test_a_split_is_the_same_in_every_process_and_version():
    split = make_split(table(10), seed=7)

    assert split.test == ("a/4.png", "b/9.png")  # lowest sha256 of "7/test/a/4.png" ...
    code = """
from helpers.tables import table
from lifeiqa.data.split_sampling import make_split
print(*make_split(table(10), seed=7).train)
"""
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert tuple(found.stdout.split()) == split.train


@pytest.mark.parametrize(
    "wrong",
    [
        {"test": 0},
        {"test": 1},
        {"test": float("nan")},
        {"val": 1},
        {"val": -0.1},
        {"seed": -1},
        {"seed": 0.5},
        {"seed": True},
        {"method": "fold"},
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_its_value(wrong):
    ((name, value),) = wrong.items()

    with pytest.raises(ConfigError, match=rf"{name} is {value!r}"):
        make_split(table(10), **wrong)


def test_a_split_by_reference_needs_references():
    with pytest.raises(DatasetError, match="no references; choose the method random"):
        make_split(table(10), method="reference")


@pytest.mark.parametrize(("images", "references"), [(1, 0), (2, 0), (8, 1), (8, 2)])
def test_too_few_contents_for_three_parts_are_refused(images, references):
    with pytest.raises(DatasetError, match="at least 2 contents are needed"):
        make_split(table(images, references=references))


def test_a_subset_keeps_a_share_of_training_and_all_the_rest():
    whole = table(125)
    split = make_split(whole, val=0)

    part = subset(split, whole, 0.2)

    assert len(part.train) == 20
    assert set(part.train) < set(split.train)
    assert (part.val, part.test, part.share) == (split.val, split.test, 0.2)


@pytest.mark.parametrize("references", [0, 20])
def test_smaller_subsets_lie_inside_larger_ones(references):
    whole = table(200, references=references)
    split = make_split(whole)

    kept = [set(subset(split, whole, share).train) for share in (0.2, 0.4, 0.6, 1)]

    assert kept[0] < kept[1] < kept[2] < kept[3] == set(split.train)


def test_a_subset_by_reference_keeps_every_image_of_a_reference_or_none():
    whole = table(100, references=25)
    split = make_split(whole)

    train, *_ = subset(split, whole, 0.4).tables(whole)

    assert len(train) == 4 * len(references_of(train))
    assert len(references_of(train)) == round(0.4 * 18)


def test_a_subset_may_be_drawn_from_another_seed():
    whole = table(100)
    split = make_split(whole)

    drawn = {subset(split, whole, 0.2, seed).train for seed in (None, 0, 1, 2)}

    assert len(drawn) == 3


@pytest.mark.parametrize("share", [0, -1, 1.1, float("nan")])
def test_a_share_that_cannot_be_is_refused(share):
    whole = table(10)

    with pytest.raises(ConfigError, match=f"share is {share}"):
        subset(make_split(whole), whole, share)


@pytest.mark.parametrize("count", [2, 5, 10])
def test_folds_test_every_image_once(count):
    whole = table(23)

    rows = [split.rows(whole) for split in folds(whole, count)]

    assert sorted(itertools.chain(*(part["test"] for part in rows))) == list(range(23))
    for part in rows:
        assert sorted(itertools.chain(*part.values())) == list(range(23))
        assert 23 // count <= len(part["test"]) <= -(-23 // count)
        assert len(part["val"]) == max(1, round(0.1 * (23 - len(part["test"]))))


def test_folds_keep_references_together():
    whole = table(60, references=12)

    for split in folds(whole, 4):
        train, val, test = (references_of(part) for part in split.tables(whole))
        assert not train & test
        assert not val & test
        assert not train & val


def test_folds_differ_by_seed_and_not_by_the_order_of_rows():
    whole = table(40)
    turned = whole.take(range(39, -1, -1))

    tested = [set(split.test) for split in folds(whole, 4, seed=1)]

    assert tested == [set(split.test) for split in folds(turned, 4, seed=1)]
    assert tested != [set(split.test) for split in folds(whole, 4, seed=2)]


def test_folds_can_be_written_and_read(tmp_path):
    split = folds(table(10), 3)[1]

    write_split(tmp_path / "split.json", split)

    assert read_split(tmp_path / "split.json") == split


@pytest.mark.parametrize("count", [-1, 0, 1])
def test_fewer_than_two_folds_are_refused(count):
    with pytest.raises(ConfigError, match=f"folds is {count}: 2 or more"):
        folds(table(10), count)


def test_more_folds_than_contents_are_refused():
    with pytest.raises(DatasetError, match="demo: 3 contents cannot make 4 folds"):
        folds(table(30, references=3), 4)
