"""How long a cold process takes: to import the package, to print help, to score photographs.

With the example of engines/cpp, also the same scores from Python and from C++, start of the process
included and excluded.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from lifeiqa.errors import ArtifactError
from lifeiqa.weights import DEFAULT, bundled

_TIMES = 5
_FURTHER = 20
"""Images after the first, of which one is timed."""
_SCORE = """
import sys, lifeiqa
lifeiqa.Scorer().score(sys.argv[1])
assert "torch" not in sys.modules
"""
_SCORE_BY_ONNX_RUNTIME = """
import sys, lifeiqa
scorer = lifeiqa.Scorer(sys.argv[1], runtime="onnxruntime", device="cpu")
for image in sys.argv[2:]:
    print(scorer.score(image).value)
"""


def starts(image: Path, cpp: Path | None = None) -> dict[str, float]:
    """Median seconds of a whole process, start of the interpreter included.

    Args:
        image: a photograph for the bundled model, in whatever runtime is chosen here.
        cpp: the command ``lifeiqa-csv``; Python and it then also score the photograph with ONNX
            Runtime on the CPU, in turns: alone, and as one of several.

    Raises:
        ArtifactError: the command failed; the message is its own.
    """
    python = [sys.executable, "-c"]
    commands = {
        "python, nothing else": [*python, ""],
        "import lifeiqa": [*python, "import lifeiqa"],
        "lifeiqa --help": [sys.executable, "-m", "lifeiqa", "--help"],
        "first score of the bundled model": [*python, _SCORE, str(image)],
    }
    found = {name: statistics.median(times) for name, times in _in_turns(commands).items()}
    return found if cpp is None else {**found, **_in_both(image, cpp)}


def _in_both(image: Path, cpp: Path) -> dict[str, float]:
    model, one = str(bundled(DEFAULT)), [str(image)]
    heads = {
        "Python": [sys.executable, "-c", _SCORE_BY_ONNX_RUNTIME, model],
        "C++": [str(cpp), "--device", "cpu", model],
    }
    several = {f"{name}, several": [*head, *one * (1 + _FURTHER)] for name, head in heads.items()}
    times = _in_turns({**{name: [*head, *one] for name, head in heads.items()}, **several})
    found = {}
    for name in heads:
        # Round by round, so that a drift of the machine cancels.
        pairs = zip(times[name], times[f"{name}, several"], strict=True)
        further = [(several - alone) / _FURTHER for alone, several in pairs]
        found[f"one image in {name}, start included"] = statistics.median(times[name])
        found[f"one image in {name}, start excluded"] = statistics.median(further)
    return found


def _in_turns(commands: dict[str, list[str]]) -> dict[str, list[float]]:
    """Seconds of each command in each round.

    A round before them is not counted: it fills the caches of the file system.
    """
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(_TIMES + 1):
        for name, command in commands.items():
            begun = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True)
            times[name].append(time.perf_counter() - begun)
            if done.returncode != 0:
                raise ArtifactError(f"{name}: {command[0]} failed: {done.stderr or done.stdout}")
    return {name: each[1:] for name, each in times.items()}
