"""Reports of lifeiqa-bench with figures that a test can know."""

from lifeiqa_benchmarks.report import Accuracy, Report, Result, Stages
from lifeiqa_benchmarks.turns import Ratio, Timing

MACHINE = {
    "cpu": "A CPU",
    "flags": ["avx2"],
    "cores": 2,
    "memory_bytes": 8 * 2**30,
    "load": [0.1, 0.2, 0.3],
    "gpu": None,
    "packages": {"onnxruntime": "1.32.0"},
    "commit": "abc",
}
SETTINGS = {"batches": [1, 8], "threads": 2, "seconds": 4.0, "turns": 8}
SPENT = {"decode": 5.0, "resize and crop": 2.0, "inference": 40.0}


def ratio(median, spread=0.02):
    return Ratio(median, median - spread, median + spread, (median - spread, median + spread))


def result(name="fast", *, times=2.0, drift=1e-7, peak=500e6, **changes):
    """A candidate of which batch 1 takes 10 ms and batch 8 takes 80."""
    relative = None if times is None else ratio(times)
    values = {
        "name": name,
        "runtime": f"Runtime of {name}",
        "sha256": "0" * 64,
        "size_bytes": 14_000_000,
        "load_s": 0.5,
        "first_score_s": 0.75,
        "peak_bytes": int(peak),
        "timings": (Timing((9.0, 10.0, 11.0), 1, relative), Timing((80.0,), 8, relative)),
        "accuracy": Accuracy(n=72, max_drift=drift, mean_drift=drift / 4, srocc=1.0),
        "stages": Stages(single=SPENT, folder=SPENT),
    }
    return Result(**{**values, **changes})


def report(*results, **changes):
    baseline = result("baseline", times=None, drift=0.0)
    values = {
        "machine": MACHINE,
        "settings": SETTINGS,
        "results": (baseline, *(results or (result(),))),
        "flops_per_crop": 2e9,
        "peak_flops": 400e9,
    }
    return Report(**{**values, **changes})
