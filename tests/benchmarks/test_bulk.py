"""What bulk scoring takes: its report, and how memory is looked at."""

import subprocess
import sys

import pytest

from lifeiqa_benchmarks.bulk import limit, markdown
from lifeiqa_benchmarks.memory import Memory

ROUND = {
    "decode_s": 4.0,
    "inference_s": 10.0,
    "run_s": 16.0,
    "peak_bytes": 500e6,
    "bytes_after_a_quarter": 480e6,
    "bytes_near_the_end": 481e6,
}
REPORT = {
    "machine": {"cpu": "a CPU", "cores": 2, "commit": "abc", "packages": {"numpy": "2.0"}},
    "images": 1200,
    "failures": 3,
    "workers": 2,
    "threads": 2,
    "batch": 8,
    "rounds": [ROUND, {**ROUND, "run_s": 15.0}, {**ROUND, "run_s": 20.0}],
    "kills": [0.5, 2.25],
    "same_rows_after_kills": True,
    "large_jpeg": {"width": 12000, "height": 8334, "run_s": 2.0, "peak_bytes": 543e6},
}


def test_the_table_has_a_column_for_each_plan():
    other = {**REPORT, "workers": 1, "threads": 1, "same_rows_after_kills": False}
    lines = markdown([REPORT, other]).splitlines()

    assert lines[0] == "# Scoring 1,200 images"
    assert "| decoding processes, session threads | 2 and 2 | 1 and 1 |" in lines
    assert "| inference alone, s | 10.0 | 10.0 |" in lines
    assert "| the whole run, s | 16.0 (15.0 to 20.0) | 16.0 (15.0 to 20.0) |" in lines
    assert (
        "| whole run / the larger of the two | 1.60 (1.50 to 2.00) | 1.60 (1.50 to 2.00) |" in lines
    )
    assert "| share of the limit | 0.88 (0.70 to 0.93) | 0.62 (0.50 to 0.67) |" in lines
    assert "| images a second | 75.0 (60.0 to 80.0) | 75.0 (60.0 to 80.0) |" in lines
    assert "| killed, s after each start | 0.5, 2.25 | 0.5, 2.25 |" in lines
    assert "| rows then equal those of an unbroken run | true | false |" in lines
    assert "a CPU (2 cores); commit abc; numpy 2.0." in lines


@pytest.mark.parametrize(
    ("workers", "threads", "cores", "seconds"),
    [
        (1, 1, 2, 10),  # a core each: inference never stops
        (2, 2, 2, 14),  # both want every core: one after the other
        (2, 1, 2, 10),  # 8 s and 10 s of work on two cores
        (4, 4, 2, 14),  # no more than the cores that there are
        (1, 3, 4, 10),
    ],
)
def test_the_limit_is_the_larger_or_the_work_of_both_over_all_cores(
    workers, threads, cores, seconds
):
    assert limit(4, 10, workers=workers, threads=threads, cores=cores) == seconds


def test_the_memory_of_a_process_is_that_of_its_children_too():
    """A child of a child takes 200 MB, and gives them back before it ends."""
    greedy = "import time; held = b'x' * 200_000_000; time.sleep(0.3); del held; time.sleep(0.3)"
    middle = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    with (
        subprocess.Popen([sys.executable, "-c", middle, greedy]) as process,
        Memory(process.pid, interval=0.01) as memory,
    ):
        process.wait()

    assert 200e6 < memory.peak < 260e6
    assert memory.samples[-1] < 60e6
