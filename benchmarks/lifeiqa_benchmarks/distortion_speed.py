"""Time every kind of distortion: ``python -m lifeiqa_benchmarks.distortion_speed``.

Prints, for a 384x384 photograph that scikit-image carries, the least CPU time of several runs at
each strength, in milliseconds; set ``OMP_NUM_THREADS=1``, for threads of a library add up.
"""

from __future__ import annotations

import sys
import time

from lifeiqa.data.distortions import KINDS, LEVELS, distort
from lifeiqa.preprocess.decode import Pixels, decode
from lifeiqa_export.photographs import photographs

SIDE = 384
RUNS = 5


def milliseconds(pixels: Pixels, kind: str, strength: float, runs: int = RUNS) -> float:
    """The least CPU time of ``runs`` runs, after one that is not counted."""
    distort(pixels, kind, strength)
    taken = []
    for _ in range(runs):
        start = time.process_time()
        distort(pixels, kind, strength)
        taken.append(time.process_time() - start)
    return 1000 * min(taken)


def main(*kinds: str) -> None:
    """Print a table of all kinds, or of those that are named."""
    (path,) = (path for path in photographs() if path.name == "astronaut.png")
    pixels = decode(path)[:SIDE, :SIDE].copy()
    print(f"| kind | ms at strength 1 | 3 | {LEVELS} |")
    print("| --- | --- | --- | --- |")
    for kind in kinds or KINDS:
        times = [milliseconds(pixels, kind, strength) for strength in (1, 3, LEVELS)]
        print(f"| {kind} | {' | '.join(f'{value:.1f}' for value in times)} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
