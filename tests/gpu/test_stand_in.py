"""Everything around an engine on a real GPU, with a kernel of CuPy as the engine."""

import sys
import threading

import numpy as np
import pytest

from helpers import tiny
from helpers.fake_tensorrt import info, write_engine
from helpers.gpu_stand_in import CupyMean, Memory, StandIn, spin
from lifeiqa.errors import ConfigError, DeviceError
from lifeiqa.runtimes.cuda.api import Cuda
from lifeiqa.runtimes.tensorrt.session import TensorRTSession
from lifeiqa_benchmarks.device import device_times

pytestmark = pytest.mark.gpu
PROFILES = ("1", "8", "2:16:32")


@pytest.fixture(scope="module")
def cupy(gpu):
    return pytest.importorskip("cupy", reason="CuPy is not installed")


@pytest.fixture(scope="module")
def torch(gpu):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no CUDA device")
    return torch


@pytest.fixture(scope="module")
def kernel(cupy):
    return CupyMean()


@pytest.fixture
def opened(gpu, kernel, monkeypatch, tmp_path):
    """Opens sessions on an engine for the chip that is here."""
    sessions = []

    def open_one(*batches, **options):
        batches = batches or PROFILES
        chip = {"compute_capability": gpu.compute_capability, "gpu": gpu.name}
        path = write_engine(tmp_path / "tiny.fp16.engine", *batches, **chip)
        module = StandIn(info(*batches).profiles, kernel)
        monkeypatch.setitem(sys.modules, "tensorrt", module)
        session = TensorRTSession(path, **options)
        session.module = module
        sessions.append(session)
        return session

    yield open_one
    for session in sessions:
        session.close()


@pytest.fixture
def cuda(gpu):
    cuda = Cuda(0, extra="tensorrt")
    with cuda.current():
        yield cuda


def noise(count, seed=0):
    shape = (count, tiny.SIZE, tiny.SIZE, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def means(crops):
    return crops.astype(np.float64).mean((1, 2, 3))


def close(scores, crops):
    # A float32 sum of 3,072 terms in any order; the mean of another crop is off by far more.
    np.testing.assert_allclose(scores, means(crops), rtol=2e-5)


def test_the_driver_and_pytorch_tell_of_one_device(gpu, torch):
    found = torch.cuda.get_device_properties(0)

    assert gpu.name == found.name
    assert gpu.compute_capability == f"{found.major}.{found.minor}"
    assert gpu.driver.split(".")[0].isdigit()


@pytest.mark.parametrize("cuda_graph", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 32, 33, 100])
def test_crops_of_the_host_are_scored_in_order(opened, count, cuda_graph):
    session, crops = opened(cuda_graph=cuda_graph), noise(count)

    close(session.run(crops), crops)
    close(session.run(crops[::-1]), crops[::-1])


def test_a_graph_is_replayed_without_the_engine(opened):
    session = opened("8")
    first = session.run(noise(8))
    enqueued = session.module.executions
    for seed in range(20):
        close(session.run(noise(8, seed)), noise(8, seed))

    np.testing.assert_array_equal(session.run(noise(8)), first)
    assert session.module.executions == enqueued == 2  # the warm-up and the capture


def test_the_same_crops_give_the_same_bits(opened):
    session, crops = opened(), noise(77)
    first = session.run(crops)

    for _ in range(50):
        np.testing.assert_array_equal(session.run(crops), first)


def test_threads_share_a_session(opened):
    session, wrong = opened(), []

    def work(number):
        crops = noise(1 + number, number)
        expected = session.run(crops)
        close(expected, crops)
        wrong.extend(1 for _ in range(50) if (session.run(crops) != expected).any())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_thousand_runs_take_no_more_memory(opened, cuda, note):
    session, sizes = opened(), (1, 8, 32)

    def go(times):
        for number in range(times):
            session.run(noise(sizes[number % 3]))
            scores = session.run_device(crops, count=sizes[number % 3], stream=stream)
            cuda.synchronize(stream)
            scores.free()

    with cuda.stream() as stream, cuda.device_memory(32 * tiny.SIZE**2 * 3) as crops:
        go(30)
        before = free_bytes()
        go(1000)
    note(device=before - free_bytes())

    assert free_bytes() >= before


def test_a_closed_session_gives_its_memory_back(opened, note):
    first = opened()
    first.run(noise(33))
    first.close()
    before = free_bytes()
    for _ in range(20):
        session = opened()
        session.run(noise(33))
        session.close()
    note(device=before - free_bytes())

    assert free_bytes() >= before


def test_torch(opened, torch):
    session, crops = opened(), noise(41)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        tensor = torch.tensor(crops, device="cuda")
        scores = session.run_device(tensor, stream=stream.cuda_stream)
        found = torch.as_tensor(scores, device="cuda").cpu().numpy()

    close(found, crops)


def test_torch_memory_takes_the_scores_in_the_default_stream(opened, torch):
    session, crops = opened(), noise(8)
    out = torch.full((8,), torch.nan, device="cuda")
    stream = torch.cuda.current_stream().cuda_stream

    assert session.run_device(torch.tensor(crops, device="cuda"), stream=stream, out=out) is out
    close(out.cpu().numpy(), crops)


def test_cupy(opened, cupy):
    session, crops = opened(), noise(41)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        scores = session.run_device(cupy.asarray(crops), stream=stream.ptr)
        found = cupy.asarray(scores).get(stream)

    close(found, crops)


def test_an_address_is_scored_where_it_lies(opened, cupy):
    session, crops = opened(), noise(12)
    array, out = cupy.asarray(crops), cupy.full(12, cupy.nan, dtype=cupy.float32)
    cupy.cuda.Device().synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    session.run_device(array.data.ptr, count=12, out=out.data.ptr, stream=stream.ptr)
    stream.synchronize()

    close(out.get(), crops)


def test_a_stream_waits_for_the_one_that_makes_the_crops(opened, cupy):
    """CuPy names the stream of an array; a bare address names none, and is scored too early."""
    session, crops = opened("8"), noise(8)
    maker = cupy.cuda.Stream(non_blocking=True)
    taker = cupy.cuda.Stream(non_blocking=True)
    warm = cupy.zeros(crops.shape, cupy.uint8)
    kept = [session.run_device(warm, stream=taker.ptr)]  # loads the kernels
    spin(maker, 1)
    cupy.cuda.Device().synchronize()
    found = {}
    for way in ("array", "address"):
        with maker:
            array = cupy.zeros(crops.shape, cupy.uint8)
            made = cupy.asarray(crops)
            maker.synchronize()
            spin(maker)
            array[:] = made
            given = array if way == "array" else array.data.ptr
            kept.append(session.run_device(given, count=8, stream=taker.ptr))
        taker.synchronize()
        found[way] = cupy.asarray(Memory(kept[-1].pointer, (8,), "<f4")).get()
        maker.synchronize()

    close(found["array"], crops)
    assert (found["address"] == 0).all()


def test_the_host_waits_for_nothing(opened, cupy):
    session, crops = opened("8"), cupy.asarray(noise(8))
    stream, spun = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Event(disable_timing=True)
    first = session.run_device(crops, stream=stream.ptr)  # prepares the profile
    spin(stream, 1)
    stream.synchronize()
    spin(stream, 2_000_000_000)
    spun.record(stream)
    scores = session.run_device(crops, stream=stream.ptr)
    still_busy = not spun.done
    stream.synchronize()

    assert still_busy
    close(cupy.asarray(first).get(), crops.get())
    close(cupy.asarray(scores).get(), crops.get())


def test_two_streams_take_turns_in_one_context(opened, cupy):
    session = opened("8")
    crops = [cupy.asarray(noise(8, seed)) for seed in range(2)]
    cupy.cuda.Device().synchronize()
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
    spin(streams[0])
    kept = []
    for number in range(100):
        way = number % 2
        address = crops[way].data.ptr
        kept.append(session.run_device(address, count=8, stream=streams[way].ptr))
    for stream in streams:
        stream.synchronize()

    for number, scores in enumerate(kept):
        close(cupy.asarray(scores).get(), crops[number % 2].get())


def test_scores_may_be_dropped_while_their_stream_is_busy(opened, cupy):
    session, crops = opened("8"), cupy.asarray(noise(8))
    found = cupy.full((50, 8), cupy.nan, dtype=cupy.float32)
    stream = cupy.cuda.Stream(non_blocking=True)
    spin(stream, 1)
    with stream:
        found[0] = cupy.asarray(session.run_device(crops, stream=stream.ptr))  # loads the kernels
        stream.synchronize()
        spin(stream, 2_000_000_000)
        for row in found:
            row[:] = cupy.asarray(session.run_device(crops.data.ptr, count=8, stream=stream.ptr))
        assert not stream.done
        stream.synchronize()

    for row in found.get():
        close(row, crops.get())


def test_closing_waits_for_what_is_in_a_stream(opened, cupy):
    session, crops = opened("8"), cupy.asarray(noise(8))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    spin(stream)
    scores = session.run_device(crops.data.ptr, count=8, stream=stream.ptr)
    session.close()

    assert stream.done
    close(cupy.asarray(scores).get(), crops.get())


def test_arrays_that_do_not_fit_are_refused(opened, cupy):
    session = opened("8")
    stream = cupy.cuda.Stream(non_blocking=True).ptr
    good = cupy.asarray(noise(8))
    turned = good.transpose(0, 2, 1, 3)
    for wrong in (noise(8), good.astype(cupy.float32), good[:, :16], turned, good[:3]):
        with pytest.raises(ConfigError):
            session.run_device(wrong, stream=stream)


def test_device_times_are_taken_on_the_device(opened, note):
    found = device_times(opened(), noise(32), 20)
    note(ms=sorted(found)[10])

    assert len(found) == 20
    assert min(found) > 0


def test_memory_is_copied_to_and_fro(cuda):
    import ctypes

    data = noise(4).tobytes()
    size = len(data)
    with (
        cuda.stream() as stream,
        cuda.pinned_memory(size) as source,
        cuda.device_memory(size) as device,
        cuda.pinned_memory(size) as target,
    ):
        ctypes.memmove(source, data, size)
        ctypes.memset(target, 0, size)
        cuda.copy(device, source, size, stream)
        cuda.copy(target, device, size, stream)
        cuda.synchronize(stream)

        assert ctypes.string_at(target, size) == data


def test_a_capture_that_fails_leaves_the_stream_usable(cuda):
    def fail():
        raise ConfigError("the engine refused")

    with cuda.stream() as stream, cuda.device_memory(64) as one, cuda.device_memory(64) as other:
        with pytest.raises(ConfigError, match="the engine refused"), cuda.captured(stream, fail):
            pass
        with (
            pytest.raises(DeviceError, match="cudaStreamSynchronize"),
            cuda.captured(stream, lambda: cuda.synchronize(stream)),
        ):
            pass
        with cuda.captured(stream, lambda: cuda.copy(one, other, 64, stream)) as graph:
            cuda.launch(graph, stream)
            cuda.synchronize(stream)


def test_another_thread_may_allocate_during_a_capture(cuda):
    wrong = []

    def allocate():
        try:
            with cuda.current(), cuda.device_memory(1 << 20):
                pass
        except DeviceError as error:
            wrong.append(error)

    with cuda.stream() as stream, cuda.device_memory(64) as one, cuda.device_memory(64) as other:

        def enqueue():
            cuda.copy(one, other, 64, stream)
            thread = threading.Thread(target=allocate)
            thread.start()
            thread.join()
            cuda.copy(other, one, 64, stream)

        with cuda.captured(stream, enqueue) as graph:
            cuda.launch(graph, stream)
            cuda.synchronize(stream)

    assert wrong == []


def test_more_memory_than_there_is_is_an_error(cuda):
    with (
        pytest.raises(DeviceError, match="cudaMalloc: cudaErrorMemoryAllocation"),
        cuda.device_memory(1 << 50),
    ):
        pass
    with cuda.device_memory(1 << 20):  # and what follows works
        pass


def test_events_time_what_lies_between_them(cuda, cupy):
    stream = cupy.cuda.Stream(non_blocking=True)
    spin(stream, 1)
    with cuda.event(timed=True) as begun, cuda.event(timed=True) as ended:
        theirs = [cupy.cuda.Event() for _ in range(2)]
        cuda.record(begun, stream.ptr)
        theirs[0].record(stream)
        spin(stream)
        theirs[1].record(stream)
        cuda.record(ended, stream.ptr)
        cuda.synchronize(stream.ptr)
        ours = cuda.milliseconds(begun, ended)

    assert ours >= cupy.cuda.get_elapsed_time(*theirs) > 0


def free_bytes():
    from cuda.bindings import runtime

    status, _ = runtime.cudaDeviceSynchronize(), None
    assert status[0] == runtime.cudaError_t.cudaSuccess
    status, available, _ = runtime.cudaMemGetInfo()
    assert status == runtime.cudaError_t.cudaSuccess
    return available
