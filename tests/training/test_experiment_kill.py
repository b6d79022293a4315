"""A run that is killed at any moment, and resumed, ends as one that was not: bit for bit."""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers import runs

LIFEIQA = Path(sys.executable).with_name("lifeiqa")
PRELOADED = ["lifeiqa.training.experiment", "scipy.stats", "torch.utils.tensorboard"]


@pytest.fixture(scope="module")
def child():
    """Starts a process that has imported all that a run needs, and returns it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)

    def started(target, *arguments):
        process = context.Process(target=target, args=arguments)
        process.start()
        return process

    return started


@pytest.fixture(scope="module")
def expected(child, folder, tmp_path_factory):
    """The files of an unbroken run, and the seconds it took."""
    for out in (tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("whole")):
        begun = time.monotonic()
        process = child(runs.run_until_write, folder, out, 0)
        process.join()
        assert process.exitcode == 0
    return runs.results(out), time.monotonic() - begun  # the first one waited for the imports


def test_a_run_is_the_same_in_another_process(expected, unbroken):
    theirs = runs.results(unbroken) | {"report.json": expected[0]["report.json"]}

    assert expected[0] == theirs
    assert {row["phase"] for row in runs.epochs(unbroken)} == {"frozen", "joint", "refine"}


def test_killed_before_any_one_file_takes_its_place(child, expected, folder, tmp_path):
    """Hence also between any two files, of which the epochs have three: best, last, metrics."""
    number, died = 0, True
    while died:
        number += 1
        out = tmp_path / str(number)
        process = child(runs.run_until_write, folder, out, number)
        process.join()
        died = process.exitcode == -signal.SIGKILL
        assert died or process.exitcode == 0
        if died:
            process = child(runs.run_until_write, folder, out, 0)
            process.join()
            assert process.exitcode == 0, f"not resumed when killed before file {number}"
        assert runs.results(out) == expected[0], f"killed before file {number}"
    # recipe.toml, data.json and environment.json, last.pt and metrics.jsonl of 5 epochs,
    # best.safetensors of two at least, tiny.safetensors and report.json.
    assert number - 1 >= 17


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_again_and_again_at_random_moments(child, expected, folder, tmp_path, seed):
    moments, kills, longest = random.Random(seed), 0, 0.8 * expected[1]
    while kills < 4:
        process = child(runs.run_until_write, folder, tmp_path, 0)
        process.join(moments.uniform(0, longest))
        process.kill()  # nothing happens to one that has ended
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        kills += 1
        if process.exitcode == 0:  # it was quicker than the one that was timed: begin anew
            shutil.rmtree(tmp_path)
            kills, longest = 0, longest / 2
    process = child(runs.run_until_write, folder, tmp_path, 0)
    process.join()

    assert process.exitcode == 0
    assert runs.results(tmp_path) == expected[0]


def test_the_command_goes_on_where_it_was_killed(unbroken, folder, tmp_path):
    command = [LIFEIQA, *runs.arguments(folder, tmp_path)]
    log = tmp_path / "metrics.jsonl"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # as that with which it is compared
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not (log.is_file() and len(runs.epochs(tmp_path)) >= 2):
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"

    resumed = subprocess.run(
        [*command, "--resume"], env=environment, capture_output=True, text=True
    )

    assert resumed.returncode == 0, resumed.stderr
    assert "resumed after {'frozen': 2" in resumed.stderr
    assert "frozen 1/2" not in resumed.stderr
    assert runs.results(tmp_path) == runs.results(unbroken)
