import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifeiqa.runtimes.batching import BUCKETS, bucket_for, buckets_of, filled, pieces

COUNTS = st.integers(1, 200)
SIZES = st.lists(st.integers(1, 64), min_size=1, max_size=6)


@given(count=COUNTS, buckets=SIZES)
def test_every_crop_is_in_one_piece_and_the_pieces_are_in_order(count, buckets):
    cut = [index for start, stop, _ in pieces(count, buckets) for index in range(start, stop)]

    assert cut == list(range(count))


@given(count=COUNTS, buckets=SIZES)
def test_no_piece_is_empty_or_longer_than_its_bucket_and_each_bucket_is_one_of_them(count, buckets):
    for start, stop, bucket in pieces(count, buckets):
        assert 0 < stop - start <= bucket
        assert bucket in buckets


@given(count=COUNTS, buckets=SIZES)
def test_only_the_last_piece_has_room_to_fill(count, buckets):
    assert all(stop - start == bucket for start, stop, bucket in pieces(count, buckets)[:-1])


@given(count=COUNTS, buckets=SIZES)
def test_no_smaller_bucket_would_hold_a_piece(count, buckets):
    for start, stop, bucket in pieces(count, buckets):
        assert not [size for size in buckets if stop - start <= size < bucket]


@pytest.mark.parametrize(
    ("count", "bucket"), [(1, 1), (2, 2), (3, 4), (8, 8), (9, 16), (32, 32), (33, 32), (99, 32)]
)
def test_the_bucket_of_a_count(count, bucket):
    assert bucket_for(count, BUCKETS) == bucket


def test_pieces_of_a_batch_that_is_larger_than_any_bucket():
    assert pieces(70, BUCKETS) == [(0, 32, 32), (32, 64, 32), (64, 70, 8)]
    assert pieces(0, BUCKETS) == []


def test_a_static_graph_has_one_bucket():
    assert buckets_of(4) == (4,)
    assert buckets_of(None) == BUCKETS


@given(count=st.integers(1, 5), room=st.integers(0, 5))
def test_a_piece_is_filled_up_with_copies_of_its_first_crop(count, room):
    crops = np.arange(count * 12, dtype=np.uint8).reshape(count, 2, 2, 3)

    batch = filled(crops, count + room)

    assert (batch.dtype, batch.shape) == (np.uint8, (count + room, 2, 2, 3))
    np.testing.assert_array_equal(batch[:count], crops)
    assert (batch[count:] == crops[0]).all()
