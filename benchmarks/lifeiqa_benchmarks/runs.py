"""A table of training runs, each measured again: ``python -m lifeiqa_benchmarks.runs DATA LIST``.

LIST is a TOML file with a table ``[[run]]`` for each: ``file``, a checkpoint; ``what``, what was
changed and why; ``monotonicity = true`` measures how scores fall under distortions, too.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from lifeiqa_benchmarks.measure import agreement_of, between, monotonicity_of


def main(data: str, listed: str) -> None:
    """Print the table as Markdown."""
    runs = tomllib.loads(Path(listed).read_text("utf-8"))["run"]
    print("| run | val SROCC (95 %) | val PLCC (95 %) | monotonic series |")
    print("| --- | --- | --- | --- |")
    for run in runs:
        found = agreement_of(Path(run["file"]), Path(data))
        fallen = "not measured"
        if run.get("monotonicity"):
            fallen = f"{monotonicity_of(Path(run['file']), Path(data)).monotone:.3f}"
        figures, bounds = found.agreement, found.intervals
        print(
            f"| {run['what']} | {between(figures.srocc, bounds['srocc'])} "
            f"| {between(figures.plcc, bounds['plcc'])} | {fallen} |",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
