"""Crops that lie on the device: against fakes of the CUDA runtime and of TensorRT throughout."""

import ctypes
import gc

import numpy as np
import pytest

from helpers import tiny
from helpers.fake_cuda import cudaMemcpyKind
from lifeiqa.errors import ConfigError
from lifeiqa.runtimes.cuda.results import MOST_BLOCKS

COPY = cudaMemcpyKind.cudaMemcpyDefault


class Array:
    """An array of some library on the device."""

    def __init__(self, pointer, shape, typestr="|u1", **more):
        self.__cuda_array_interface__ = {
            "shape": shape,
            "typestr": typestr,
            "data": (pointer, False),
            "version": 3,
            **more,
        }


class Stream:
    def __init__(self, handle):
        self.handle = handle

    def __cuda_stream__(self):
        return 0, self.handle


def on_device(machine, *greys, **more):
    crops = tiny.crops(*greys)
    return Array(machine.cuda.upload(crops), crops.shape, **more)


def out_pointer(out):
    return out.__cuda_array_interface__["data"][0]


def read(scores):
    interface = scores.__cuda_array_interface__
    (count,), (pointer, _) = interface["shape"], interface["data"]
    assert interface["typestr"] == "<f4"
    return np.ctypeslib.as_array((ctypes.c_float * count).from_address(pointer)).tolist()


def test_crops_are_scored_where_they_lie(machine):
    session, stream = machine.open("1:4:8"), machine.cuda.callers_stream()
    machine.cuda.calls.clear()

    scores = session.run_device(on_device(machine, 7, 8, 9), stream=stream)

    assert read(scores) == [7, 8, 9]
    assert len(scores) == 3
    assert machine.cuda.count("cudaMemcpyAsync") == 0
    assert scores.__cuda_array_interface__["stream"] == stream


def test_nothing_is_waited_for_once_a_profile_is_prepared(machine):
    session, stream = machine.open(2), machine.cuda.callers_stream()
    crops = on_device(machine, 1, 2)
    session.run_device(crops, stream=stream)
    machine.cuda.calls.clear()

    session.run_device(crops, stream=stream)

    assert not [name for name in machine.cuda.calls if "Synchronize" in name]


def test_an_address_with_a_count_will_do(machine):
    session, stream = machine.open(2), machine.cuda.callers_stream()
    pointer = machine.cuda.upload(tiny.crops(5, 6, 7, 8))

    assert read(session.run_device(pointer, count=4, stream=stream)) == [5, 6, 7, 8]


def test_a_stream_object_will_do(machine):
    session, stream = machine.open(1), Stream(machine.cuda.callers_stream())

    assert read(session.run_device(on_device(machine, 3), stream=stream)) == [3]


def test_memory_of_the_caller_takes_the_scores(machine):
    session, stream = machine.open(2), machine.cuda.callers_stream()
    out = Array(machine.cuda.upload(np.zeros(2, np.float32)), (2,), "<f4")

    assert session.run_device(on_device(machine, 3, 4), stream=stream, out=out) is out
    assert read(out) == [3, 4]


def test_scores_own_their_memory_until_they_are_gone(machine):
    session, stream = machine.open(1), machine.cuda.callers_stream()
    scores = session.run_device(on_device(machine, 3), stream=stream)
    session.close()

    assert read(scores) == [3]
    assert machine.cuda.owned() == ["device"]
    del scores
    gc.collect()
    assert machine.cuda.owned() == []


def test_scores_may_be_dropped_before_their_stream_has_made_them(machine):
    session, stream = machine.open(2), machine.cuda.callers_stream()
    out = Array(machine.cuda.upload(np.zeros(2, np.float32)), (2,), "<f4")
    machine.cuda.busy = True

    for grey in (1, 2, 3):
        scores = session.run_device(on_device(machine, grey, 9), stream=stream)
        machine.cuda.cudaMemcpyAsync(out_pointer(out), scores.pointer, 8, COPY, stream)
        del scores
        gc.collect()
    assert machine.cuda.pending
    machine.cuda.cudaStreamSynchronize(stream)

    assert read(out) == [3, 9]


def test_dropping_scores_calls_nothing_of_cuda(machine):
    """The garbage collector may drop them in any thread, also while something is captured."""
    session, stream = machine.open(1), machine.cuda.callers_stream()
    scores = session.run_device(on_device(machine, 3), stream=stream)
    machine.cuda.calls.clear()
    del scores
    gc.collect()

    assert machine.cuda.calls == []


def test_memory_of_dropped_scores_does_not_pile_up(machine):
    session, stream = machine.open(1), machine.cuda.callers_stream()
    crops = on_device(machine, 3)
    for _ in range(100):
        session.run_device(crops, stream=stream)

    assert machine.cuda.owned().count("device") == 1
    session.close()
    assert machine.cuda.owned() == []


def test_memory_of_a_stream_is_not_freed_in_another(machine):
    session, crops = machine.open(1), on_device(machine, 3)
    streams = [machine.cuda.callers_stream() for _ in range(2)]
    session.run_device(crops, stream=streams[0])
    machine.cuda.calls.clear()

    kept = session.run_device(crops, stream=streams[1])
    assert "cudaFreeAsync" not in machine.cuda.calls
    session.run_device(crops, stream=streams[0])
    assert machine.cuda.count("cudaFreeAsync") == 1
    assert read(kept) == [3]


def test_streams_that_never_come_back_leave_little_memory(machine):
    session, crops = machine.open(1), on_device(machine, 3)
    machine.cuda.busy = True
    for _ in range(2 * MOST_BLOCKS):
        session.run_device(crops, stream=machine.cuda.callers_stream())

    assert machine.cuda.owned().count("device") <= MOST_BLOCKS + 1


def test_closing_waits_before_it_frees_dropped_scores(machine):
    session, stream = machine.open(1), machine.cuda.callers_stream()
    out = Array(machine.cuda.upload(np.zeros(1, np.float32)), (1,), "<f4")
    machine.cuda.busy = True
    scores = session.run_device(on_device(machine, 3), stream=stream)
    kept = session.run_device(on_device(machine, 4), stream=stream)
    machine.cuda.cudaMemcpyAsync(out_pointer(out), scores.pointer, 4, COPY, stream)
    del scores
    session.close()

    assert read(out) == [3]
    machine.cuda.cudaMemcpyAsync(out_pointer(out), kept.pointer, 4, COPY, stream)
    del kept  # after the session
    gc.collect()
    assert read(out) == [4]
    assert machine.cuda.owned() == []


def test_scores_can_be_given_back_at_once_and_once(machine):
    session, stream = machine.open(1), machine.cuda.callers_stream()
    scores = session.run_device(on_device(machine, 3), stream=stream)
    scores.free()
    scores.free()
    kept = session.run_device(on_device(machine, 4), stream=stream)

    assert machine.cuda.owned().count("device") == 1
    assert read(kept) == [4]


def test_the_default_stream_is_1_in_the_protocol(machine):
    session = machine.open(1)
    machine.cuda.live[0] = "caller's stream"
    scores = session.run_device(on_device(machine, 3), stream=0)

    assert scores.__cuda_array_interface__["stream"] == 1


def test_the_callers_stream_waits_for_the_one_that_makes_the_crops(machine):
    session, stream = machine.open(1), machine.cuda.callers_stream()
    producer = machine.cuda.callers_stream()
    session.run_device(on_device(machine, 3), stream=stream)
    before = machine.cuda.waits.count(stream)

    session.run_device(on_device(machine, 3, stream=stream), stream=stream)
    session.run_device(on_device(machine, 3, stream=producer), stream=stream)

    # Each run waits for the one before it, and the last one for its producer too.
    assert machine.cuda.waits.count(stream) == before + 3


@pytest.mark.parametrize(
    ("batches", "count", "sizes"),
    [
        ((8,), 16, [8, 8]),
        ((1, 8, 32), 42, [32, 8, 1, 1]),
        (("1:8:32",), 42, [32, 10]),
        (("4:8:8",), 12, [8, 4]),
    ],
)
def test_any_number_that_can_be_made_of_whole_batches(machine, batches, count, sizes):
    session, stream = machine.open(*batches), machine.cuda.callers_stream()
    greys = [number * 5 for number in range(count)]

    assert read(session.run_device(on_device(machine, *greys), stream=stream)) == greys
    assert sum(context.executions for context in machine.trt.contexts) == len(sizes)


@pytest.mark.parametrize(("batches", "count", "left"), [((8,), 12, 4), (("4:8:8",), 10, 2)])
def test_any_other_number_is_refused(machine, batches, count, left):
    session = machine.open(*batches)

    with pytest.raises(ConfigError, match=f"{count} crops cannot be cut .* {left} are left"):
        session.run_device(on_device(machine, *range(count)), stream=machine.cuda.callers_stream())


S = tiny.SIZE


@pytest.mark.parametrize(
    ("crops", "message"),
    [
        (np.zeros((1, S, S, 3), np.uint8), "crops is a ndarray without __cuda_array_interface__"),
        (Array(1, (1, S, S, 3), "<f4"), r"crops is <f4 \(1, 32, 32, 3\): \|u1 \(N, 32, 32, 3\) is"),
        (Array(1, (1, 3, S, S)), r"crops is \|u1 \(1, 3, 32, 32\)"),
        (Array(1, (S, S, 3)), r"crops is \|u1 \(32, 32, 3\)"),
        (Array(1, (0, S, S, 3)), "crops has 0 entries, at least 1 expected"),
        (Array(1, (1, S, S, 3), strides=(1, 1, S, S * S)), "crops has strides .* contiguous"),
        (1234, "crops is an address: pass how many there are, count=N"),
        (True, "crops is a bool without"),
    ],
)
def test_crops_that_cannot_be_read_are_refused(machine, crops, message):
    with pytest.raises(ConfigError, match=message):
        machine.open(1).run_device(crops, stream=machine.cuda.callers_stream())


def test_dense_strides_are_no_strides(machine):
    session, stream = machine.open(1), machine.cuda.callers_stream()
    crops = on_device(machine, 3, strides=(S * S * 3, S * 3, 3, 1))

    assert read(session.run_device(crops, stream=stream)) == [3]


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (Array(1, (2,), "<f4"), "out has 2 entries, 1 expected"),
        (Array(1, (1,), "<f8"), r"out is <f8 \(1,\): <f4 \(N\) is expected"),
    ],
)
def test_memory_that_cannot_take_the_scores_is_refused(machine, out, message):
    session, stream = machine.open(1), machine.cuda.callers_stream()

    with pytest.raises(ConfigError, match=message):
        session.run_device(on_device(machine, 3), stream=stream, out=out)


@pytest.mark.parametrize("stream", [None, "default", True])
def test_what_is_no_stream_is_refused(machine, stream):
    with pytest.raises(ConfigError, match="pass an object with __cuda_stream__, or its handle"):
        machine.open(1).run_device(on_device(machine, 3), stream=stream)


def test_a_count_that_is_not_that_of_the_array_is_refused(machine):
    with pytest.raises(ConfigError, match="crops has 1 entries, 2 expected"):
        machine.open(1).run_device(on_device(machine, 3), count=2, stream=0)
