"""Crops that lie on the device: against fakes of the CUDA runtime and of TensorRT throughout."""

import ctypes
import gc

import numpy as np
import pytest

from helpers import tiny
from lifeiqa.errors import ConfigError


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


def test_scores_can_be_given_back_at_once_and_once(machine):
    session, stream = machine.open(1), machine.cuda.callers_stream()
    scores = session.run_device(on_device(machine, 3), stream=stream)
    scores.free()
    scores.free()

    assert "device" not in machine.cuda.owned()


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
        (1234, "crops is an address: say how many there are, count=N"),
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
    with pytest.raises(ConfigError, match="give an object with __cuda_stream__, or its handle"):
        machine.open(1).run_device(on_device(machine, 3), stream=stream)


def test_a_count_that_is_not_that_of_the_array_is_refused(machine):
    with pytest.raises(ConfigError, match="crops has 1 entries, 2 expected"):
        machine.open(1).run_device(on_device(machine, 3), count=2, stream=0)
