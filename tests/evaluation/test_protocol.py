"""A report says which images it is about, and whether the model knew them."""

from pathlib import Path

import pytest

from helpers import tiny
from lifeiqa.config import Labels
from lifeiqa.data.split_sampling import make_split
from lifeiqa.data.table import Table
from lifeiqa.errors import DatasetError
from lifeiqa.evaluation.protocol import EVERY, protocol, take_part

TABLE = Table(
    name="greys",
    paths=tuple(Path(f"{row}.png") for row in range(10)),
    scores=tuple(map(float, range(10))),
    parts=("train",) * 6 + ("test",) * 4,
)
TRAINED = {
    "train": {"name": "greys train", "images": 6},
    "val": {"name": "greys val", "images": 2},
    "protocol": "honest: the checkpoint was chosen on val",
}


def said(table, training=TRAINED, part=EVERY):
    return protocol(tiny.manifest(training=training), table, part)


def test_the_whole_table_is_taken_as_it_is():
    assert take_part(TABLE, "all") == (TABLE, EVERY)


def test_a_part_of_the_official_split_is_its_rows():
    part, words = take_part(TABLE, "test")

    assert part.scores == (6.0, 7.0, 8.0, 9.0)
    assert part.name == "greys test"
    assert words == "the test part of the official split, 4 of 10 images"


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_saved_split_comes_before_the_official_one(part):
    split = make_split(TABLE, method="random", seed=7)

    taken, words = take_part(TABLE, part, split)

    rows = split.rows(TABLE)[part]
    assert taken.scores == tuple(TABLE.scores[row] for row in rows)
    assert words == f"the {part} part of the random split of seed 7, {len(rows)} of 10 images"


def test_an_empty_part_is_refused():
    with pytest.raises(DatasetError, match="greys: the val part of the official split is empty"):
        take_part(TABLE, "val")


def test_a_part_of_a_table_without_split_is_refused():
    table = Table(name="plain", paths=TABLE.paths, scores=TABLE.scores)

    with pytest.raises(DatasetError, match=r"plain: has no test part.*--split"):
        take_part(table, "test")


def test_images_that_chose_the_checkpoint_are_called_so():
    assert "the checkpoint was chosen on greys val (2 images)" in said(
        TABLE.take([1, 2], "greys val")
    )


def test_images_that_were_learned_are_called_so():
    text = said(TABLE.take(range(6), "greys train"))

    assert "the model was trained on greys train (6 images): the figures say nothing" in text
    assert "the figures say nothing about other images" in text


@pytest.mark.parametrize("table", [TABLE.take([1, 2, 3], "greys val"), TABLE.take([1, 2], "other")])
def test_another_number_or_name_is_another_table(table):
    text = said(table)

    assert "expect lower figures on other images" not in text
    assert "was trained on greys train (6 images) and chosen on greys val (2 images)" in text
    assert "whether these images are among them is not known" in text


def test_a_fingerprint_tells_more_than_a_name():
    chosen, other = TABLE.take([1, 2], "greys val"), TABLE.take([2, 3], "greys val")
    record = {"val": {"name": "renamed", "images": 2, "sha256": chosen.sha256}}

    assert "expect lower figures on other images" in said(chosen, record)
    assert "expect lower figures on other images" not in said(other, record)


@pytest.mark.parametrize(("name", "across"), [("other", True), ("Greys", False)])
def test_another_data_set_is_called_so_whatever_the_case_of_its_name(name, across):
    labels = Labels(dataset=name, low=0, high=1)
    table = Table(name="new", paths=TABLE.paths[:2], scores=(0.0, 1.0), labels=labels)

    assert ("across data sets: the model was trained on greys" in said(table)) == across


def test_images_of_the_record_are_never_called_another_data_set():
    labels = Labels(dataset="Greys 2", low=0, high=1)
    table = Table(name="greys val", paths=TABLE.paths[:2], scores=(0.0, 1.0), labels=labels)

    assert "expect lower figures on other images" in said(table)


@pytest.mark.parametrize("training", [{}, {"train": "all of it"}, {"train": {"name": "x"}}])
def test_a_record_that_says_nothing_is_not_made_to(training):
    assert "its record does not say on which images" in said(TABLE, training)


def test_the_part_and_the_training_protocol_are_repeated():
    text = said(TABLE, part="the test part of the official split, 4 of 10 images")

    assert text.startswith("the test part of the official split, 4 of 10 images; ")
    assert text.endswith(
        "it was trained by the protocol 'honest: the checkpoint was chosen on val'"
    )
