"""Where ONNX Runtime spends its time in a graph, by operator.

``python -m lifeiqa_benchmarks.operators MODEL.onnx [BATCH [THREADS]]``
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.errors import require
from lifeiqa.runtimes.base import INPUT
from lifeiqa_benchmarks.table import markdown

_WARM_UP, _RUNS = 3, 10


def operator_times(model: Path, batch: int, threads: int) -> dict[str, tuple[int, float]]:
    """Nodes of each operator after optimisation, and their time in ms a run, the longest first.

    Of each node the median over the runs, so that a pause of the machine does not count.
    """
    onnxruntime: Any = require("onnxruntime", extra="cpu", purpose="a profile")
    side = read_manifest(model).config.crop_size
    crops = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        for _ in range(_WARM_UP + _RUNS):
            session.run(None, {INPUT: crops})
        events = json.loads(Path(session.end_profiling()).read_text("utf-8"))
    spent: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            spent[event["args"]["op_name"], event["name"]].append(event["dur"] / 1e3)
    found: dict[str, tuple[int, float]] = {}
    for (operator, _), times in spent.items():
        count, total = found.get(operator, (0, 0.0))
        found[operator] = (count + 1, total + float(np.median(times[_WARM_UP:])))
    return dict(sorted(found.items(), key=lambda item: -item[1][1]))


def main(model: str, batch: str = "8", threads: str = "2") -> None:
    """Print a Markdown table."""
    found = operator_times(Path(model), int(batch), int(threads))
    whole = sum(time for _, time in found.values())
    rows = [
        [operator, str(count), f"{time:.1f}", f"{time / whole:.1%}"]
        for operator, (count, time) in found.items()
    ]
    rows.append(["all", str(sum(count for count, _ in found.values())), f"{whole:.1f}", ""])
    print(markdown(["operator", "nodes", "ms", "share"], rows))


if __name__ == "__main__":
    main(*sys.argv[1:])
