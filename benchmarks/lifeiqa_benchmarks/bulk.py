"""Measure `lifeiqa score` on a folder of pictures: speed, memory, and that a kill loses nothing.

``python -m lifeiqa_benchmarks.bulk FOLDER REPORT.json`` writes the report and, beside it, the same
as Markdown.

- Decoding and inference are each timed alone, with the processes and threads that the run has, and
  the run as the command that a user types, its start included. Where the two have a core each, no
  run can be faster than the larger of them; where both use every core, none than their sum.
- Memory is what all processes of the run share out among them (Pss), looked at ten times a second.
- The killed run is killed five times at random moments and ended each time by the same command.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lifeiqa.bulk.items import Part
from lifeiqa.bulk.pool import Pool
from lifeiqa.bulk.run import Plan, cores
from lifeiqa.bulk.sources import items
from lifeiqa.bulk.worker import Task
from lifeiqa.crops import CropPlan
from lifeiqa.files import atomic_write
from lifeiqa.image import Pixels, decode
from lifeiqa.scorer import Scorer
from lifeiqa_benchmarks.machine import machine
from lifeiqa_benchmarks.memory import Memory

_KILLS = 5
_LARGE = (12000, 8334)  # 100 megapixels


def measure(folder: Path, plan: Plan, threads: int) -> dict[str, Any]:
    """Everything, as plain values for JSON."""
    decoding, crops = _decoding(folder, plan)
    report: dict[str, Any] = {
        "machine": machine(),
        "folder": folder.name,
        "pictures": len(crops),
        "workers": plan.workers,
        "threads": threads,
        "batch": plan.batch,
        "decode_s": decoding,
        "inference_s": _inference(np.concatenate(crops), plan, threads),
    }
    with tempfile.TemporaryDirectory() as scratch:
        whole, broken = Path(scratch, "whole"), Path(scratch, "broken")
        command = [
            *(sys.executable, "-m", "lifeiqa", "score", str(folder), "--provider", "cpu"),
            *("--threads", str(threads), "--workers", str(plan.workers)),
            *("--batch", str(plan.batch), "--shard", "100"),
        ]
        report |= _run([*command, "--out", str(whole)])
        report["kills"] = _killed([*command, "--out", str(broken)], report["run_s"])
        report["same_rows_after_kills"] = _rows(whole) == _rows(broken)
        report["failures"] = json.loads((whole / "finished.json").read_text())["failures"]
        report["large_jpeg"] = _large(folder, Path(scratch))
    report["pictures_per_s"] = report["pictures"] / report["run_s"]
    alone = report["decode_s"], report["inference_s"]
    report["times_the_larger"] = report["run_s"] / max(alone)
    report["times_the_sum"] = report["run_s"] / sum(alone)
    return report


def _decoding(folder: Path, plan: Plan) -> tuple[float, list[Pixels]]:
    """Seconds to decode and cut every picture, and their crops."""
    with Scorer(provider="cpu") as scorer:
        preprocessing, size = scorer.preprocessing, scorer.manifest.config.crop_size
        task = Task(preprocessing, size, scorer.max_pixels, thumbnails=False, seconds=plan.seconds)
    crops = []
    with Pool(task, plan.workers, CropPlan.parse(preprocessing.crops).count) as pool:
        begun = time.perf_counter()
        for _, parts in pool.decoded(items([str(folder)])):
            crops += [part.crops for part in parts if isinstance(part, Part)]
        return time.perf_counter() - begun, crops


def _inference(crops: Pixels, plan: Plan, threads: int) -> float:
    """Seconds to score the crops, batch by batch."""
    with Scorer(provider="cpu", threads=threads) as scorer:
        scorer.session.run(crops[: plan.batch])
        begun = time.perf_counter()
        for start in range(0, len(crops), plan.batch):
            scorer.session.run(crops[start : start + plan.batch])
        return time.perf_counter() - begun


def _run(command: list[str]) -> dict[str, Any]:
    begun = time.perf_counter()
    with subprocess.Popen(command) as process, Memory(process.pid) as memory:
        process.wait()
    seconds = time.perf_counter() - begun
    samples = memory.samples
    return {
        "run_s": seconds,
        "peak_bytes": memory.peak,
        # The second must not be above the first, but for the odd large picture.
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
    """The first picture of the folder, enlarged to 100 megapixels."""
    path = scratch / "large.jpg"
    pixels = decode(next(path for path in sorted(folder.iterdir()) if path.suffix == ".jpg"))
    Image.fromarray(pixels).resize(_LARGE).save(path, quality=90)
    command = [sys.executable, "-m", "lifeiqa", "score", str(path), "--provider", "cpu"]
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
    """The reports as a table, a column each."""
    lines = {
        "processes that decode, threads of the session": "{workers} and {threads}",
        "pictures": "{pictures:,}, of which {failures} failed",
        "decoding alone, s": "{decode_s:.1f}",
        "inference alone, s": "{inference_s:.1f}",
        "the run, start included, s": "{run_s:.1f}",
        "times the larger of the two": "{times_the_larger:.2f}",
        "times their sum": "{times_the_sum:.2f}",
        "pictures a second": "{pictures_per_s:.1f}",
        "peak memory of all processes, MB": "{peak_mb:.0f}",
        "memory after a quarter of the run, MB": "{quarter_mb:.0f}",
        "memory near its end, MB": "{end_mb:.0f}",
        "killed, s after each start": "{killed}",
        "the same rows as unbroken": "{same_rows_after_kills}",
        "a JPEG of 100 megapixels: s, peak memory in MB": "{large_s:.1f}, {large_mb:.0f}",
    }
    columns = [_flat(report) for report in reports]
    rows = [
        f"| {name} | {' | '.join(form.format(**column) for column in columns)} |"
        for name, form in lines.items()
    ]
    dashes = "| --- " * (len(columns) + 1) + "|"
    found = reports[0]["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    head = "| | " + " | ".join(f"run {n}" for n in range(1, len(columns) + 1)) + " |"
    where = f"{found['cpu']} ({found['cores']} cores); commit {found['commit']}; {packages}."
    return "\n".join(
        [f"# Bulk scoring of {reports[0]['folder']}", "", head, dashes, *rows, "", where, ""]
    )


def _flat(report: dict[str, Any]) -> dict[str, Any]:
    return {
        **report,
        "killed": ", ".join(map(str, report["kills"])),
        "peak_mb": report["peak_bytes"] / 1e6,
        "quarter_mb": report["bytes_after_a_quarter"] / 1e6,
        "end_mb": report["bytes_near_the_end"] / 1e6,
        "large_s": report["large_jpeg"]["run_s"],
        "large_mb": report["large_jpeg"]["peak_bytes"] / 1e6,
    }


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
