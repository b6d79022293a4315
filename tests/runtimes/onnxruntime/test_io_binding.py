"""The real IOBinding code, on ONNX Runtime's CPU provider; a CUDA graph needs a GPU."""

import threading

import numpy as np
import onnxruntime
import pytest

from helpers import tiny
from lifeiqa.runtimes.batching import BUCKETS, buckets_of
from lifeiqa.runtimes.onnxruntime.io_binding import IoBindingRunner


@pytest.fixture
def session(tmp_path):
    return opened(tiny.write_model(tmp_path / "tiny.onnx"))


def opened(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def bound(session, *, batch=None, graphs=False):
    buckets = buckets_of(batch)
    return IoBindingRunner(onnxruntime, session, buckets=buckets, device="cpu", graphs=graphs)


def noise(count, seed=0):
    shape = (count, tiny.SIZE, tiny.SIZE, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 32, 33, 71])
@pytest.mark.parametrize("graphs", [False, True])
def test_bound_runs_score_as_a_plain_run_does(session, count, graphs):
    crops = noise(count)

    scores = bound(session, graphs=graphs).run(crops)

    assert (scores.dtype, scores.shape) == (np.float32, (count,))
    np.testing.assert_array_equal(scores, session.run(None, {"crops": crops})[0])


@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_static_graph_runs_in_its_one_size(tmp_path, count):
    session = opened(tiny.write_model(tmp_path / "tiny.onnx", batch=4))
    greys = [10 * (index + 1) for index in range(count)]

    assert bound(session, batch=4).run(tiny.crops(*greys)) == pytest.approx(greys)


def test_a_score_does_not_depend_on_the_crops_that_were_in_the_buffer(session):
    runs, crops = bound(session), noise(7)

    together = runs.run(crops)
    runs.run(tiny.crops(*[255] * 8))
    alone = np.concatenate([runs.run(crop[np.newaxis]) for crop in crops])

    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, runs.run(crops))


def test_results_stay_what_they_were(session):
    runs = bound(session)
    first = runs.run(tiny.crops(10, 20))
    runs.run(tiny.crops(200, 210))

    np.testing.assert_array_equal(first, [10, 20])
    assert first.base is None


class Counting:
    """A real session that counts what is bound and remembers what it was run with."""

    def __init__(self, session):
        self.session, self.bindings, self.runs = session, 0, []

    def __getattr__(self, name):
        return getattr(self.session, name)

    def io_binding(self):
        self.bindings += 1
        return self.session.io_binding()

    def run_with_iobinding(self, binding, options):
        self.runs.append((binding, options))
        self.session.run_with_iobinding(binding, options)


def test_the_buffers_of_a_bucket_are_bound_once(session):
    counting = Counting(session)
    runs = bound(counting)

    for count in (3, 4, 3, 40, 8):
        runs.run(noise(count))

    assert counting.bindings == 3  # of 4, 8 and 32
    assert len(counting.runs) == 6
    assert counting.runs[0][0] is counting.runs[1][0] is counting.runs[2][0]


def test_each_bucket_records_its_own_graph(session):
    counting = Counting(session)
    runs = bound(counting, graphs=True)

    for bucket in BUCKETS:
        runs.run(noise(bucket))

    ids = [options.get_run_config_entry("gpu_graph_id") for _, options in counting.runs]
    assert ids == [str(bucket) for bucket in BUCKETS]


def test_without_graphs_there_are_no_options_of_a_run(session):
    counting = Counting(session)
    bound(counting).run(noise(1))

    assert counting.runs[0][1] is None


class Interrupted(Counting):
    """A real session whose first run is met halfway by a run from another thread."""

    def run_with_iobinding(self, binding, options):
        if not self.runs:
            self.runs.append((binding, options))
            self.other.start()
            self.other.join(timeout=0.3)  # only a run that does not wait for ours ends in this time
        super().run_with_iobinding(binding, options)


def test_threads_do_not_mix_their_crops(session):
    interrupted = Interrupted(session)
    runs, others = bound(interrupted), []
    interrupted.other = threading.Thread(target=lambda: others.append(runs.run(tiny.crops(200))))

    ours = runs.run(tiny.crops(10))
    interrupted.other.join()

    np.testing.assert_array_equal([*ours, *others[0]], [10, 200])
