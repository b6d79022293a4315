"""Crops of many images in full batches, against the sizes of the runs that were asked for."""

import numpy as np
import pytest

from helpers import tiny
from lifeiqa.scorer import score_in_batches


class GreyMeter:
    """A session whose score is the mean of a crop; it remembers the size of every run."""

    def __init__(self):
        self.sizes = []

    def run(self, crops):
        self.sizes.append(len(crops))
        return crops.mean(axis=(1, 2, 3), dtype=np.float32)


def scored(images, batch, session=None):
    return list(score_in_batches(images, session or GreyMeter(), batch=batch))


@pytest.mark.parametrize(
    ("batch", "sizes"),
    [(1, [1] * 12), (4, [4, 4, 4]), (5, [5, 5, 2]), (99, [12]), (None, [5, 3, 1, 3])],
)
def test_a_run_takes_crops_across_images_in_their_order(batch, sizes):
    greys = {"a": [1, 2, 3, 4, 5], "b": [6, 7, 8], "c": [9], "d": [10, 11, 12]}
    session = GreyMeter()

    found = scored(((name, tiny.crops(*own)) for name, own in greys.items()), batch, session)

    assert [(name, score.crops) for name, score in found] == [
        (name, tuple(map(float, own))) for name, own in greys.items()
    ]
    assert [score.value for _, score in found] == [3, 7, 9, 11]
    assert session.sizes == sizes


def test_an_image_by_itself_is_cut_into_runs_of_32():
    session = GreyMeter()

    scored([("a", tiny.crops(*range(70))), ("b", tiny.crops(1))], None, session)

    assert session.sizes == [32, 32, 6, 1]


def test_an_image_without_crops_keeps_its_place():
    images = [("a", None), ("b", tiny.crops(1)), ("c", None), ("d", tiny.crops(2)), ("e", None)]

    found = scored(images, 8)

    assert [(tag, score and score.value) for tag, score in found] == [
        *(("a", None), ("b", 1), ("c", None), ("d", 2), ("e", None))
    ]


def test_a_smaller_batch_is_run_when_too_many_images_wait():
    session, asked = GreyMeter(), []

    def images():
        yield "good", tiny.crops(7)
        for number in range(100):
            asked.append(number)
            yield number, None

    found = score_in_batches(images(), session, batch=8, most_waiting=10)

    assert next(found)[1].value == 7
    assert len(asked) == 10
    assert [tag for tag, _ in found] == list(range(100))
    assert session.sizes == [1]


def test_what_is_complete_comes_before_the_next_image_is_asked_for():
    asked = []

    def images():
        for grey in range(6):
            asked.append(grey)
            yield grey, tiny.crops(grey)

    found = score_in_batches(images(), GreyMeter(), batch=2)

    assert (next(found)[0], asked) == (0, [0, 1])
    assert (next(found)[0], asked) == (1, [0, 1])
    assert (next(found)[0], asked) == (2, [0, 1, 2, 3])


def test_images_before_an_error_of_their_source_have_their_scores():
    def images():
        for grey in range(3):
            yield grey, tiny.crops(grey)
        raise ZeroDivisionError("the source broke")

    found = score_in_batches(images(), GreyMeter(), batch=8)

    assert [next(found)[1].value for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError, match="the source broke"):
        next(found)


def test_an_error_of_the_session_ends_it_at_once():
    class Broken:
        def run(self, crops):
            raise ZeroDivisionError("the session broke")

    with pytest.raises(ZeroDivisionError, match="the session broke"):
        scored([("a", tiny.crops(1))], 1, Broken())
