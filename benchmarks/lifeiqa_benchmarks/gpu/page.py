"""Write what was measured on a GPU into docs/performance.md, and all of it beside the report.

``python -m lifeiqa_benchmarks.gpu.page docs/performance.md benchmarks/results/gpu_h100/gpu.json``
"""

from __future__ import annotations

import sys
from pathlib import Path

from lifeiqa.files import atomic_write
from lifeiqa_benchmarks.card import replaced
from lifeiqa_benchmarks.gpu.records import read_report
from lifeiqa_benchmarks.gpu.table import (
    Record,
    document,
    flops_of,
    machine_words,
    median_ms,
    of_kind,
)
from lifeiqa_benchmarks.table import markdown

COLUMNS = {
    "PyTorch eager FP32": "eager FP32",
    "PyTorch eager FP16": "eager",
    "torch.compile FP16": "compiled",
    "PyTorch FP16, CUDA graph": "graph",
    "torch.compile FP16, CUDA graph": "compiled, graph",
    "ONNX Runtime FP16": "ONNX RT",
}
"""Candidates of the short table: their names in the records, and their columns."""
_TITLES = {"swin_tiny": "Swin-T", "swin_base": "Swin-B"}
_BEST = "torch.compile FP16, CUDA graph"
_UNSTEADY = 1.05


def section(records: list[Record]) -> str:
    """The short tables: milliseconds of a batch, and scores against PyTorch on a CPU."""
    parts = [times(records), _note(records), scores(records), f"{machine_words(records)}."]
    return "\n" + "\n\n".join(parts) + "\n"


def times(records: list[Record]) -> str:
    """One row a network and batch size, one column a candidate."""
    found = {
        (each["network"], each["batch"], each["candidate"]): each
        for each in of_kind(records, "time")
    }
    rows = []
    for network in dict.fromkeys(network for network, _, _ in found):
        for batch in sorted({size for name, size, _ in found if name == network}):
            cells = [_cell(found.get((network, batch, name))) for name in COLUMNS]
            best = found.get((network, batch, _BEST))
            title = _TITLES.get(network, network)
            rows.append([title, str(batch), *cells, _share(records, network, best)])
    return markdown(["network", "batch", *COLUMNS.values(), "peak"], rows)


def scores(records: list[Record]) -> str:
    """One row a form of a network: how far its scores are from PyTorch FP32 on a CPU."""
    rows = []
    for each in of_kind(records, "parity"):
        changed = "-" if each["changed"] is None else f"{each['changed']} of {each['tokens']}"
        rank = "-" if each["srocc"] is None else f"{each['srocc']:.5f}"
        drift = f"{each['max_drift']:.1e}"
        rows.append([each["network"], each["candidate"], drift, rank, changed, each["runtime"]])
    header = ["network", "form", "largest drift", "SROCC", "experts changed", "computed by"]
    return markdown(header, rows)


def _cell(record: Record | None) -> str:
    """Milliseconds to three digits, with ``~`` where the two series differ by more than 5 %."""
    if record is None:
        return "-"
    mark = "~" if max(record["ms"]) > _UNSTEADY * min(record["ms"]) else ""
    ms = median_ms(record)
    return f"{mark}{ms:.{3 if ms < 1 else 2 if ms < 10 else 1 if ms < 100 else 0}f}"


def _share(records: list[Record], network: str, record: Record | None) -> str:
    """Of the FP16 matrix product that the GPU reached in the process that measured the network."""
    flops = flops_of(records, network)
    ceilings = [each["float16"] for each in of_kind(records, "peak") if each["network"] == network]
    if record is None or not flops or not ceilings:
        return "-"
    return f"{1e3 * record['batch'] * flops / median_ms(record) / max(ceilings):.1%}"


def _note(records: list[Record]) -> str:
    crops = {each["n"] for each in of_kind(records, "parity")}
    return (
        "Milliseconds for a batch that is on the device already, in FP16 but for the first column; "
        "`~`: two series of runs differ by more than 5 %. Eager, compiled (`torch.compile`) and "
        "graph (CUDA graph) are PyTorch, ONNX RT is ONNX Runtime. Peak: the share of the FP16 "
        "matrix product measured on the same GPU that the compiled network reaches under a CUDA "
        "graph.\n\n"
        "Scores against PyTorch FP32 on a CPU, on "
        f"{', '.join(map(str, sorted(crops)))} crops; drift is a share of the label range:"
    )


def main(page: str, report: str) -> None:
    """Rewrite the section between the two marks ``<!-- gpu -->``, and ``gpu.md`` beside REPORT."""
    file, source = Path(page), Path(report)
    records = read_report(source)
    texts = {
        file: replaced(file.read_text("utf-8"), "gpu", section(records)),
        source.with_suffix(".md"): f"# A run on a GPU\n\n{document(records)}",
    }
    for path, text in texts.items():
        with atomic_write(path) as temporary:
            temporary.write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
