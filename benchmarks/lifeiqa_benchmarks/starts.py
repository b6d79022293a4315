"""How long a cold process takes: to import the package, to print help, to score one photograph."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

_TIMES = 5
_SCORE = """
import sys, lifeiqa
lifeiqa.Scorer().score(sys.argv[1])
assert "torch" not in sys.modules
"""


def starts(picture: Path) -> dict[str, float]:
    """Median seconds of a whole process, start of the interpreter included.

    Args:
        picture: a photograph for the bundled model, in whatever runtime is chosen here.
    """
    commands = {
        "python, nothing else": ["-c", ""],
        "import lifeiqa": ["-c", "import lifeiqa"],
        "lifeiqa --help": ["-m", "lifeiqa", "--help"],
        "first score of the bundled model": ["-c", _SCORE, str(picture)],
    }
    return {name: _seconds(arguments) for name, arguments in commands.items()}


def _seconds(arguments: list[str]) -> float:
    """After one run that is not counted, which fills the caches of the file system."""
    times = []
    for _ in range(_TIMES + 1):
        begun = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begun)
    return statistics.median(times[1:])
