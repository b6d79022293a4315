"""Engines on a real GPU."""

import threading

import numpy as np
import pytest

from lifeiqa.runtimes.tensorrt.session import TensorRTSession
from lifeiqa_engines.parity import NotMeasured, prove_engine

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def session(engine):
    with TensorRTSession(engine.path) as session:
        yield session


@pytest.fixture(scope="module")
def one_by_one(session, crops):
    return np.concatenate([session.run(crop[None]) for crop in crops])


def test_parity_with_pytorch(engine, checkpoint, crops, note):
    report = prove_engine(engine, checkpoint, lambda *_: crops)

    assert not isinstance(report, NotMeasured), report
    print(report)
    note(link=report.to_dicts()[0])
    assert report.failures == []


@pytest.mark.parametrize("batch", [2, 3, 8, 9, 32, 72])
def test_a_score_does_not_depend_on_its_batch(session, crops, one_by_one, batch, note):
    scores = np.concatenate(
        [session.run(crops[start : start + batch]) for start in range(0, len(crops), batch)]
    )
    drift = float(np.abs(scores - one_by_one).max()) / session.manifest.labels.span
    note(drift=drift)

    assert drift <= 1e-3


def test_the_same_crops_give_the_same_score(session, crops):
    first = session.run(crops)

    for _ in range(20):
        np.testing.assert_array_equal(session.run(crops), first)


@pytest.mark.parametrize("batch", [1, 8, 32])
def test_a_run_with_a_cuda_graph_equals_a_plain_one(engine, session, crops, batch):
    with TensorRTSession(engine.path, cuda_graph=False) as plain:
        np.testing.assert_array_equal(plain.run(crops[:batch]), session.run(crops[:batch]))


def test_a_thousand_runs_take_no_more_memory(session, crops, note):
    from cuda.bindings import runtime

    def free():
        status, available, _ = runtime.cudaMemGetInfo()
        assert status == runtime.cudaError_t.cudaSuccess
        return available

    sizes = (1, 8, 32)
    for size in sizes:
        session.run(crops[:size])
    before, resident = free(), resident_bytes()
    for number in range(1000):
        session.run(crops[: sizes[number % 3]])
    note(device=before - free(), host=resident_bytes() - resident)

    assert before - free() == 0
    assert resident_bytes() - resident < 16e6


def test_threads_share_a_session(session, crops, one_by_one):
    seen = {}

    def work(number):
        seen[number] = np.concatenate([session.run(crops[number : number + 1]) for _ in range(20)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for number, scores in seen.items():
        np.testing.assert_array_equal(scores, one_by_one[number])


def test_two_sessions_do_not_disturb_each_other(engine, session, crops):
    expected = session.run(crops[:8])
    with TensorRTSession(engine.path) as other:
        np.testing.assert_array_equal(other.run(crops[:8]), expected)
    np.testing.assert_array_equal(session.run(crops[:8]), expected)


def resident_bytes():
    """Memory of this process that is in use, on Linux."""
    import os
    from pathlib import Path

    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
