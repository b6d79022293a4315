"""The first table of the README is what the committed reports say."""

import json
import re
from pathlib import Path

import pytest

from lifeiqa.weights import bundled
from lifeiqa_benchmarks.gpu.page import section
from lifeiqa_benchmarks.gpu.records import read_report
from lifeiqa_benchmarks.gpu.table import document, median_ms, of_kind
from lifeiqa_benchmarks.report import Report

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks/results"
README = (ROOT / "README.md").read_text("utf-8")
CANDIDATES = {
    "PyTorch, FP32": ("PyTorch eager", "safetensors"),
    "ONNX Runtime, FP32 (bundled)": ("ONNX Runtime", "fp32.onnx"),
    "OpenVINO, FP32 (bundled)": ("OpenVINO", "fp32.onnx"),
    "ONNX Runtime, INT8": ("ONNX Runtime", "int8.onnx"),
    "OpenVINO, INT8": ("OpenVINO", "int8.onnx"),
}


def rows():
    """The cells of each row of the first table, by its first cell."""
    (table,) = [part for part in README.split("\n\n") if part.startswith("| runtime, precision")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    return {row[0]: row[1:] for row in cells}


@pytest.mark.parametrize("name", CANDIDATES)
def test_speed_and_size_are_those_of_the_report(name):
    runtime, file = CANDIDATES[name]
    report = Report.from_json(RESULTS / "bench_lite0_int8/report.json")
    (result,) = [r for r in report.results if r.name.startswith(runtime) and r.name.endswith(file)]

    assert rows()[name][0] == f"{result.timing(1).percentile(50):.1f}"
    assert rows()[name][1] == f"{result.timing(8).throughput:.1f}"
    here = bundled(suffix=f".{file}") if "int8" not in file else None
    size = result.size_bytes if here is None else here.stat().st_size
    assert rows()[name][3] == f"{size / 1e6:.1f}"


def test_bulk_is_that_of_the_report():
    report = json.loads((RESULTS / "bulk.json").read_text("utf-8"))[0]
    speeds = sorted(report["images"] / one["run_s"] for one in report["rounds"])

    (row,) = [cells for name, cells in rows().items() if name.startswith("`lifeiqa score`")]
    assert row[1] == f"{speeds[len(speeds) // 2]:.1f}"


def test_the_figures_of_a_gpu_are_those_of_the_report():
    report = RESULTS / "gpu_h100/gpu.json"
    records = read_report(report)
    page = (ROOT / "docs/performance.md").read_text("utf-8")
    written = page.split("<!-- gpu -->\n")[1].split("\n<!-- /gpu -->")[0]

    assert written == section(records)
    assert report.with_suffix(".md").read_text("utf-8").endswith(document(records))
    ms = {
        (each["network"], each["candidate"], each["batch"]): median_ms(each)
        for each in of_kind(records, "time")
    }
    graph, swin = "PyTorch FP16, CUDA graph", "swin_base"
    stated = (
        f"from {ms[swin, 'PyTorch eager FP16', 1]:.1f} to {ms[swin, graph, 1]:.2f} ms",
        f"{ms['lite0-biq2021', 'ONNX Runtime FP16', 32]:.1f} ms at batch 32",
        f"{ms['lite0-biq2021', 'ONNX Runtime FP32', 32]:.1f} ms in FP32",
        f"{ms['lite0-biq2021', graph, 32]:.2f} ms in PyTorch FP16 under a CUDA graph",
        f"The {ms[swin, 'torch.compile FP16, CUDA graph', 32]:.2f} ms here",
        f"more than {max(each['max_drift'] for each in of_kind(records, 'parity')):.1e}".replace(
            "e-0", "e-"
        ),
    )
    assert [words for words in stated if words not in page] == []


def test_the_readme_is_short_and_its_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", README)

    assert len(README.splitlines()) <= 130
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []
