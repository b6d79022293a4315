"""What bulk scoring takes: its report, and how memory is looked at."""

import subprocess
import sys

from lifeiqa_benchmarks.bulk import markdown
from lifeiqa_benchmarks.memory import Memory

REPORT = {
    "machine": {"cpu": "a CPU", "cores": 2, "commit": "abc", "packages": {"numpy": "2.0"}},
    "folder": "holiday",
    "pictures": 1200,
    "failures": 3,
    "workers": 2,
    "threads": 1,
    "batch": 8,
    "decode_s": 4.0,
    "inference_s": 10.0,
    "run_s": 12.0,
    "times_the_larger": 1.2,
    "times_the_sum": 0.857,
    "pictures_per_s": 100.0,
    "peak_bytes": 500e6,
    "bytes_after_a_quarter": 480e6,
    "bytes_near_the_end": 481e6,
    "kills": [0.5, 2.25],
    "same_rows_after_kills": True,
    "large_jpeg": {"width": 12000, "height": 8334, "run_s": 2.0, "peak_bytes": 543e6},
}


def test_the_table_has_a_column_for_each_run():
    lines = markdown([REPORT, {**REPORT, "workers": 1, "same_rows_after_kills": False}])

    assert "| processes that decode, threads of the session | 2 and 1 | 1 and 1 |" in lines
    assert "| pictures | 1,200, of which 3 failed | 1,200, of which 3 failed |" in lines
    assert "| times the larger of the two | 1.20 | 1.20 |" in lines
    assert "| killed, s after each start | 0.5, 2.25 | 0.5, 2.25 |" in lines
    assert "| the same rows as unbroken | True | False |" in lines
    assert "a CPU (2 cores); commit abc; numpy 2.0." in lines


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
