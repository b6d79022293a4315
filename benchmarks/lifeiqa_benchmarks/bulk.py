"""Measure `lifeiqa score` on a folder of images: speed, memory, and that a kill loses nothing.

``python -m lifeiqa_benchmarks.bulk FOLDER REPORT.json`` writes the report and, beside it, the same
as Markdown.

- Decoding and inference are each timed alone, with the processes and threads that the run has, and
  the run as the command that a user types, its start included: three rounds of the three, in turns.
- No run can be faster than its limit: than the larger of the two, and than the work of both spread
  evenly over the cores. With a core for each the limit is the larger of them; where each takes
  every core, it is their sum.
- Memory is what all processes of the run share out among them (Pss), looked at once a second: to
  look takes the kernel a while, which at ten times a second made the run a tenth slower.
- The killed run is killed five times at random moments and ended each time by the same command.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lifeiqa.bulk.inputs.expand import items
from lifeiqa.bulk.items import Part
from lifeiqa.bulk.shards import Plan, reading_pool
from lifeiqa.files import atomic_write
from lifeiqa.preprocess.decode import Pixels, decode
from lifeiqa.preprocess.pipeline import CutImage
from lifeiqa.preprocess.process_pool import cores
from lifeiqa.scorer import Scorer
from lifeiqa_benchmarks.machine import machine
from lifeiqa_benchmarks.memory import Memory

_ROUNDS = 3
_ONNX_RUNTIME_ON_CPU = ("--runtime", "onnxruntime", "--device", "cpu")
_KILLS = 5
_LARGE = (12000, 8334)  # 100 megapixels


def measure(folder: Path, plan: Plan, threads: int) -> dict[str, Any]:
    """Everything, as plain values for JSON."""
    report: dict[str, Any] = {
        "machine": machine(),
        "workers": plan.workers,
        "threads": threads,
        "batch": plan.batch,
    }
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            *(sys.executable, "-m", "lifeiqa", "score", str(folder), *_ONNX_RUNTIME_ON_CPU),
            *("--threads", str(threads), "--workers", str(plan.workers)),
            *("--batch", str(plan.batch), "--shard", "100", "--out"),
        ]
        report["rounds"] = []
        with Scorer(runtime="onnxruntime", device="cpu") as scorer:
            cutting = scorer.cutting
        crops = np.concatenate(list(_crops(folder, cutting, plan)))
        for number in range(_ROUNDS):
            decoding = _decoding(folder, cutting, plan)
            inference = _inference(crops, plan, threads)
            whole = Path(scratch, f"whole {number}")
            run = _run([*command, str(whole)])
            report["rounds"].append({"decode_s": decoding, "inference_s": inference, **run})
        totals = json.loads((whole / "_finished.json").read_text())
        report |= {"images": totals["inputs"], "failures": totals["failures"]}
        broken = Path(scratch, "broken")
        report["kills"] = _killed([*command, str(broken)], run["run_s"])
        report["same_rows_after_kills"] = _rows(whole) == _rows(broken)
        report["large_jpeg"] = _large(folder, Path(scratch))
    return report


def limit(decode_s: float, inference_s: float, *, workers: int, threads: int, cores: int) -> float:
    """Seconds that a run takes at least which decodes and scores at the same time.

    Args:
        decode_s: seconds for decoding alone, with ``workers`` processes.
        inference_s: seconds for inference alone, with ``threads`` threads.
        workers: processes that decode.
        threads: threads of the session.
        cores: of the machine; more processes or threads than cores take no more of them.
    """
    work = decode_s * min(workers, cores) + inference_s * min(threads, cores)
    return max(decode_s, inference_s, work / cores)


def _decoding(folder: Path, cutting: CutImage, plan: Plan) -> float:
    """Seconds to decode and cut every image; to keep the crops would take time of its own."""
    begun = time.perf_counter()
    for _ in _crops(folder, cutting, plan):
        pass
    return time.perf_counter() - begun


def _crops(folder: Path, cutting: CutImage, plan: Plan) -> Iterator[Pixels]:
    """The crops of each image."""
    with reading_pool(cutting, plan) as pool:
        for _, parts in pool.results(items([str(folder)])):
            yield from (part.crops for part in parts if isinstance(part, Part))


def _inference(crops: Pixels, plan: Plan, threads: int) -> float:
    """Seconds to score the crops, batch by batch."""
    with Scorer(runtime="onnxruntime", device="cpu", threads=threads) as scorer:
        scorer.session.run(crops[: plan.batch])
        begun = time.perf_counter()
        for start in range(0, len(crops), plan.batch):
            scorer.session.run(crops[start : start + plan.batch])
        return time.perf_counter() - begun


def _run(command: list[str]) -> dict[str, Any]:
    begun = time.perf_counter()
    with subprocess.Popen(command) as process, Memory(process.pid, 1.0) as memory:
        process.wait()
    seconds = time.perf_counter() - begun
    samples = memory.samples
    return {
        "run_s": seconds,
        "peak_bytes": memory.peak,
        # The second must not be above the first, but for the odd large image.
        "bytes_after_a_quarter": samples[len(samples) // 4],
        "bytes_near_the_end": samples[-len(samples) // 20],
    }


def _killed(command: list[str], seconds: float) -> list[float]:
    """Moments of the kills, in seconds after the start; then the run is let to its end."""
    generator, moments = random.Random(0), []
    for _ in range(_KILLS):
        moments.append(generator.uniform(0.5, seconds / _KILLS))
        with subprocess.Popen(command) as process:
            time.sleep(moments[-1])
            process.kill()
    subprocess.run(command, check=False)
    return [round(moment, 2) for moment in moments]


def _rows(folder: Path) -> list[str]:
    parts = sorted(folder.glob("part-*.csv"))
    return [line for part in parts for line in part.read_text(encoding="utf-8").splitlines()[1:]]


def _large(folder: Path, scratch: Path) -> dict[str, Any]:
    """The first image of the folder, enlarged to 100 megapixels."""
    path = scratch / "large.jpg"
    pixels = decode(next(path for path in sorted(folder.iterdir()) if path.suffix == ".jpg"))
    Image.fromarray(pixels).resize(_LARGE).save(path, quality=90)
    command = [sys.executable, "-m", "lifeiqa", "score", str(path), *_ONNX_RUNTIME_ON_CPU]
    begun = time.perf_counter()
    with (
        subprocess.Popen(command, stdout=subprocess.DEVNULL) as process,
        Memory(process.pid, 0.005) as memory,
    ):
        process.wait()
    return {
        "width": _LARGE[0],
        "height": _LARGE[1],
        "run_s": time.perf_counter() - begun,
        "peak_bytes": memory.peak,
    }


def markdown(reports: list[dict[str, Any]]) -> str:
    """The reports as a table, a column each; of the rounds the median, with lowest and highest."""
    columns = [_column(report) for report in reports]
    rows = [f"| {name} | {' | '.join(c[name] for c in columns)} |" for name in columns[0]]
    found = reports[0]["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    where = f"{found['cpu']} ({found['cores']} cores); commit {found['commit']}; {packages}."
    notes = (
        "Decoding includes cutting crops. Decoding and inference were each timed alone, with the "
        "same processes and threads as in the run. The run includes its start. The limit is the "
        "larger of the two, or the work of both spread over all cores where that takes longer. "
        f"Medians of {_ROUNDS} rounds, with the lowest and the highest."
    )
    return "\n".join(
        [
            f"# Scoring {reports[0]['images']:,} images",
            "",
            rows[0],
            "| --- " * (len(columns) + 1) + "|",
            *rows[1:],
            "",
            notes,
            "",
            where,
            "",
        ]
    )


def _column(report: dict[str, Any]) -> dict[str, str]:
    rounds, large = report["rounds"], report["large_jpeg"]
    alone = [(one["decode_s"], one["inference_s"]) for one in rounds]
    runs = [one["run_s"] for one in rounds]
    sizes = {name: report[name] for name in ("workers", "threads")}
    limits = [limit(*two, **sizes, cores=report["machine"]["cores"]) for two in alone]
    peaks, quarters, ends = (
        [one[name] / 1e6 for one in rounds]
        for name in ("peak_bytes", "bytes_after_a_quarter", "bytes_near_the_end")
    )
    return {
        "decoding processes, session threads": "{workers} and {threads}".format(**sizes),
        "images that failed": str(report["failures"]),
        "decoding alone, s": _spread([two[0] for two in alone], 1),
        "inference alone, s": _spread([two[1] for two in alone], 1),
        "the whole run, s": _spread(runs, 1),
        "whole run / the larger of the two": _spread(_ratios(runs, map(max, alone)), 2),
        "share of the limit": _spread(_ratios(limits, runs), 2),
        "images a second": _spread([report["images"] / run for run in runs], 1),
        "peak memory of all processes, MB": _spread(peaks, 0),
        "memory after a quarter of the run, MB": _spread(quarters, 0),
        "memory near its end, MB": _spread(ends, 0),
        "killed, s after each start": ", ".join(map(str, report["kills"])),
        "rows then equal those of an unbroken run": str(report["same_rows_after_kills"]).lower(),
        "a JPEG of 100 megapixels: s, peak memory in MB": (
            f"{large['run_s']:.1f}, {large['peak_bytes'] / 1e6:.0f}"
        ),
    }


def _ratios(above: Iterable[float], below: Iterable[float]) -> list[float]:
    return [one / other for one, other in zip(above, below, strict=True)]


def _spread(values: list[float], digits: int) -> str:
    low, middle, high = (
        f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values))
    )
    return middle if low == high else f"{middle} ({low} to {high})"


def main(folder: Path, out: Path) -> None:
    """Measure the default, and one process that leaves it the other cores; write both reports."""
    plans = [(cores(), cores()), (1, max(1, cores() - 1))]
    reports = [measure(folder, Plan(workers=workers), threads) for workers, threads in plans]
    with atomic_write(out) as temporary:
        temporary.write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")
    with atomic_write(out.with_suffix(".md")) as temporary:
        temporary.write_text(markdown(reports), encoding="utf-8")
    print(markdown(reports))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
