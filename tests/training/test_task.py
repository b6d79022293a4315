"""What is learned: scores that rank something within their range, and who chooses."""

from pathlib import Path

import pytest

from lifeiqa.config import Labels
from lifeiqa.data.split_sampling import make_split
from lifeiqa.data.table import Table
from lifeiqa.errors import DatasetError
from lifeiqa.training.task import PROTOCOLS, Task, task_of_split

LABELS = Labels(dataset="greys", low=0.0, high=10.0)


def table(*scores, name="greys"):
    paths = tuple(Path(f"{name}/{row}.png") for row in range(len(scores)))
    return Table(name=name, paths=paths, scores=scores)


def task(**changes):
    tables = {
        "train": table(0, 10, name="learned"),
        "val": table(1, 2, name="choosing"),
        "test": table(3, 4, name="testing"),
    }
    return Task(**{"name": "tiny", **tables, "labels": LABELS, **changes})


def refusal(call, *arguments, **changes):
    with pytest.raises(DatasetError) as caught:
        call(*arguments, **changes)
    return str(caught.value)


def test_scores_may_reach_both_ends_of_their_range():
    assert task().train.scores == (0, 10)


def test_there_may_be_no_test_images():
    assert task(test=None).test is None


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_constant_scores_are_refused_in_every_part(part):
    message = refusal(task, **{part: table(3, 3, 3, name="equal")})

    assert message.startswith("equal: the score of all 3 images is 3")


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_images_are_refused_in_every_part(part, count):
    message = refusal(task, **{part: table(*range(count), name="few")})

    assert message.startswith(f"few: {count} images")


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize(
    ("scores", "run"), [((-0.5, 3), "-0.5 to 3"), ((3, 10.001), "3 to 10.001")]
)
def test_scores_outside_the_range_are_refused_in_every_part(part, scores, run):
    message = refusal(task, **{part: table(*scores, name="wide")})

    assert message == (
        f"wide: scores run from {run}, outside the label range 0..10. "
        f"Give the range with --label-range"
    )


@pytest.mark.parametrize("part", ["val", "test"])
def test_an_image_that_is_learned_neither_chooses_nor_tests(part):
    learned = table(0, 5, 10, name="learned")

    message = refusal(task, train=learned, **{part: learned.take([1, 2])})

    assert message.startswith(f"learned: 2 images are learned too, first {learned.paths[1]}")


@pytest.fixture
def whole():
    return table(*range(11), name="whole")


@pytest.mark.parametrize("val", [0.2, 0.0])
def test_in_the_literatures_protocol_the_test_images_choose(whole, val):
    split = make_split(whole, method="random", seed=0, val=val)

    found = task_of_split("tiny", whole, split, LABELS, "literature")

    assert found.val == found.test
    assert len(found.test) == len(split.test)
    assert len(found.train) == len(split.train)
    assert not set(found.train.paths) & set(found.test.paths)
    assert found.protocol == "literature"


def test_in_the_honest_protocol_the_parts_are_apart(whole):
    split = make_split(whole, method="random", seed=0, val=0.2)

    found = task_of_split("tiny", whole, split, LABELS, "honest")

    parts = [set(part.paths) for part in (found.train, found.val, found.test)]
    assert [len(part) for part in parts] == [len(split.train), len(split.val), len(split.test)]
    assert set.union(*parts) == set(whole.paths)
    assert sum(map(len, parts)) == len(whole)
    score_of = dict(zip(whole.paths, whole.scores, strict=True))
    for part in (found.train, found.val, found.test):
        assert [score_of[path] for path in part.paths] == list(part.scores)


def test_the_honest_protocol_needs_validation_images(whole):
    split = make_split(whole, method="random", seed=0, val=0.0)

    message = refusal(task_of_split, "tiny", whole, split, LABELS, "honest")

    assert message.startswith("whole: the split has no validation images")
    assert "--protocol literature" in message


def test_the_parts_of_a_split_are_named_for_messages(whole):
    split = make_split(whole, method="random", seed=0, val=0.2)
    narrow = Labels(dataset="greys", low=20.0, high=30.0)

    message = refusal(task_of_split, "tiny", whole, split, narrow, "honest")

    assert message.startswith("whole train: scores run from")


def test_every_protocol_says_what_chose_the_checkpoint():
    assert set(PROTOCOLS) == {"honest", "literature"}
    assert all(text.startswith(f"{name}: ") for name, text in PROTOCOLS.items())
