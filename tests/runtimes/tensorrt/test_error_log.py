"""How TensorRT's complaints are kept, with the real TensorRT-RTX where it matters."""

import gc
import subprocess
import sys

import pytest
import tensorrt_rtx

from lifeiqa.runtimes.tensorrt.error_log import ErrorLog

# A builder of the embedding program, with a logger of its own, is garbage when ours is made, and
# Python collects after each number of allocations in turn: one of them is made inside the warning.
GARBAGE = """
import gc
import tensorrt_rtx
from lifeiqa.runtimes.tensorrt.error_log import ErrorLog

class Foreign(tensorrt_rtx.ILogger):
    def __init__(self):
        super().__init__()
    def log(self, severity, message):
        pass

class Holder:
    pass

errors = ErrorLog(tensorrt_rtx)
for allocations in range(1, 60):
    gc.disable()
    gc.collect()
    holder = Holder()
    holder.builder, holder.itself = tensorrt_rtx.Builder(Foreign()), holder
    del holder
    gc.set_threshold(gc.get_count()[0] + allocations)
    gc.enable()
    assert errors.make(tensorrt_rtx.{factory})
print("made")
"""


class _Graph:
    """Stands for a parser: made with a logger, and complains to it."""

    def __init__(self, logger):
        self.logger = logger

    def complain(self, severity, message):
        self.logger.log(getattr(tensorrt_rtx.ILogger.Severity, severity), message)


@pytest.fixture
def errors():
    return ErrorLog(tensorrt_rtx)


@pytest.mark.parametrize("factory", ["Builder", "Runtime"])
def test_an_old_builder_that_is_garbage_cannot_stop_the_making_of_another(factory):
    command = [sys.executable, "-c", GARBAGE.format(factory=factory)]
    # It waited for itself for ever when garbage was collected inside TensorRT's warning.
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)

    assert (done.returncode, done.stdout) == (0, "made\n"), done.stderr


def test_a_process_has_one_logger(errors):
    assert errors.make(_Graph).logger is ErrorLog(tensorrt_rtx).make(_Graph).logger


def test_errors_are_kept_once_and_warnings_are_not(errors):
    graph = errors.make(_Graph)
    graph.complain("ERROR", "no such node")
    graph.complain("WARNING", "slow")
    graph.complain("INTERNAL_ERROR", "broken")
    graph.complain("ERROR", "no such node")
    graph.complain("ERROR", "catchCudaError: no driver")

    assert errors.take() == "no such node; broken"
    assert errors.take() == "TensorRT gave no reason"


def test_a_log_begins_where_it_was_made(errors):
    errors.make(_Graph).complain("ERROR", "of before")
    later = ErrorLog(tensorrt_rtx)
    later.make(_Graph).complain("ERROR", "of now")

    assert later.take() == "of now"
    assert errors.take() == "of before; of now"


def test_complaints_that_nobody_takes_do_not_pile_up(errors):
    graph = errors.make(_Graph)
    for number in range(1000):
        graph.complain("ERROR", str(number))

    assert errors.take().split("; ") == [str(number) for number in range(900, 1000)]


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_left_as_it_was(errors, enabled):
    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        inside = errors.make(lambda logger: gc.isenabled())
        with pytest.raises(ZeroDivisionError):
            errors.make(lambda logger: 1 / 0)
        assert (inside, gc.isenabled()) == (False, enabled)
    finally:
        (gc.enable if was else gc.disable)()
