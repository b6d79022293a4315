"""What holds for a whole run: its folder of exports, threads of its processes, memory it took."""

import os
import shutil
import tempfile

import pytest

from lifeiqa_benchmarks.memory import Memory

_EXPORTS = "LIFEIQA_TEST_EXPORTS"
"""Names the folder of `helpers.exports` to every process of a run."""
_SECONDS = 0.5
"""From one look at the memory to the next."""
_memory = pytest.StashKey[Memory]()


def pytest_addoption(parser):
    parser.addoption(
        "--memory-limit",
        type=float,
        metavar="GIB",
        help="Fail the run if all of its processes together took more.",
    )


def pytest_configure(config):
    if hasattr(config, "workerinput"):
        # One of several processes. torch is not imported yet; children inherit this.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    else:
        os.environ[_EXPORTS] = tempfile.mkdtemp(prefix="lifeiqa-exports-")
        config.stash[_memory] = Memory(os.getpid(), _SECONDS)
        config.stash[_memory].__enter__()


def pytest_unconfigure(config):
    if memory := config.stash.get(_memory, None):
        memory.__exit__()
        shutil.rmtree(os.environ.pop(_EXPORTS))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if _is_too_large(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    limit = config.getoption("--memory-limit")
    allowed = f" of {limit:g} GiB allowed" if limit else ""
    terminalreporter.write_line(
        f"peak memory of all processes: {_peak(config):.1f} GiB{allowed}",
        red=_is_too_large(config),
    )


def _is_too_large(config):
    limit = config.getoption("--memory-limit")
    return limit is not None and _memory in config.stash and _peak(config) > limit


def _peak(config):
    return config.stash[_memory].peak / 2**30
