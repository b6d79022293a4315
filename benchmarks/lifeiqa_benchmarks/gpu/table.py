"""A run on a GPU as Markdown: ``python -m lifeiqa_benchmarks.gpu.table gpu.json``."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

from lifeiqa_benchmarks.gpu.records import read_report
from lifeiqa_benchmarks.table import markdown

Record = dict[str, Any]

BASELINE = "PyTorch eager FP16"


def document(records: list[Record]) -> str:
    """Everything that was measured, and what was not."""
    networks = list(dict.fromkeys(each["network"] for each in of_kind(records, "time")))
    parts = [conditions(records)]
    for network in networks:
        parts += [f"### {network}", peak(records, network), speed(records, network)]
    parts += ["### Scores", parity(records)] if of_kind(records, "parity") else []
    parts += ["### TensorRT-RTX", refusals(records)] if of_kind(records, "TensorRT-RTX") else []
    parts += ["### Not measured", failures(records)] if of_kind(records, "error") else []
    return "\n\n".join(parts) + "\n"


def conditions(records: list[Record]) -> str:
    """The machine and the method."""
    seconds = of_kind(records, "machine")[0]["settings"]["seconds"]
    return (
        f"{machine_words(records)}. Milliseconds on the device between two events, median of two "
        f"series of {seconds:g} s after a warm-up (both where they differ by more than 2 %). Crops "
        f"are on the device already. Speedup: over {BASELINE}. Peak: the share of the operations "
        f"per second that a large product of random matrices reached in the same process and type."
    )


def machine_words(records: list[Record]) -> str:
    """GPU, driver, CPU, versions and the commit."""
    machine = of_kind(records, "machine")[0]
    gpu = machine["gpu"]
    where = f"{gpu['name']}, driver {gpu['driver']}" if gpu else "no GPU"
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    commit = machine["commit"] or "not recorded"
    return f"{where}; {machine['cpu']}, {machine['cores']} cores; {packages}; commit {commit}"


def peak(records: list[Record], network: str) -> str:
    """Ceilings of the device beside the size of the network."""
    found = [each for each in of_kind(records, "peak") if each["network"] == network]
    flops = flops_of(records, network)
    size = f"{flops / 1e9:.2f} GFLOP a crop. " if flops else ""
    if not found:
        return size.strip() or "Its ceilings were not measured."
    one = found[0]
    rates = ", ".join(f"{name} {one[name] / 1e12:.1f}" for name in ("float16", "tf32", "float32"))
    return (
        f"{size}Products of {one['side']} by {one['side']} in TFLOP/s: {rates}; "
        f"a copy moves {one['copy'] / 1e12:.2f} TB/s."
    )


def speed(records: list[Record], network: str) -> str:
    """One row a candidate and batch size, in the order of the batch sizes."""
    found = [each for each in of_kind(records, "time") if each["network"] == network]
    host = {
        (each["candidate"], each["batch"]): statistics.median(each["ms"])
        for each in of_kind(records, "host time")
        if each["network"] == network
    }
    candidates = list(dict.fromkeys(each["candidate"] for each in found))
    eager = {each["batch"]: median_ms(each) for each in found if each["candidate"] == BASELINE}
    flops = flops_of(records, network)
    peaks = [each for each in of_kind(records, "peak") if each["network"] == network]
    rows = []
    order = sorted(found, key=lambda each: (each["batch"], candidates.index(each["candidate"])))
    for each in order:
        ms, batch, name = median_ms(each), each["batch"], each["candidate"]
        share = "-"
        if flops and peaks:
            ceiling = max(one[_type(name)] for one in peaks)
            share = f"{batch * flops / (ms / 1e3) / ceiling:.1%}"
        whole = host.get((name, batch))
        rows.append(
            [
                *(str(batch), name, _ms_words(each), f"{1e3 * batch / ms:,.0f}"),
                f"{eager[batch] / ms:.2f}" if batch in eager else "-",
                share,
                "-" if whole is None else f"{whole:.2f}",
            ]
        )
    header = ["batch", "candidate", "ms", "crops/s", "speedup", "peak"]
    return markdown([*header, "ms from host to host"], rows)


def parity(records: list[Record]) -> str:
    """Drift, rank and experts of every form against PyTorch in float32 on the CPU."""
    rows = []
    for each in of_kind(records, "parity"):
        experts = "-"
        if each["changed"] is not None:
            experts = f"{each['changed']} of {each['tokens']} (+{each['near_ties']} near-ties)"
        rank = "-" if each["srocc"] is None else f"{each['srocc']:.6f}"
        drift = [f"{each[name]:.1e}" for name in ("max_drift", "p99_drift", "mean_drift")]
        held = "FAILED" if each["failures"] else "ok"
        row = [each["network"], each["candidate"], str(each["n"]), *drift, rank, experts, held]
        rows.append([*row, each["runtime"]])
    header = ["network", "form", "crops", "max drift", "p99", "mean", "SROCC", "experts changed"]
    return markdown([*header, "", "arithmetic"], rows)


def refusals(records: list[Record]) -> str:
    """What TensorRT-RTX said."""
    found = [each for each in of_kind(records, "TensorRT-RTX") if "words" in each]
    rows = [[each["part"], each.get("step", ""), each["words"]] for each in found]
    return markdown(["asked", "step", "answer"], rows)


def failures(records: list[Record]) -> str:
    """One line a part that failed, with its error."""
    lines = []
    for each in of_kind(records, "error"):
        what = [str(each[key]) for key in ("part", "network", "candidate", "batch") if key in each]
        lines.append(f"- {', '.join(what)}: {' '.join(each['error'].split())[:300]}")
    return "\n".join(lines)


def of_kind(records: list[Record], kind: str) -> list[Record]:
    return [each for each in records if each["kind"] == kind]


def flops_of(records: list[Record], network: str) -> float | None:
    counted = [each["flops"] for each in of_kind(records, "flops") if each["network"] == network]
    return counted[0] if counted else None


def _type(candidate: str) -> str:
    """Of `lifeiqa_benchmarks.gpu.peak.measure_peaks`, that in which a candidate multiplies."""
    if "FP16" in candidate:
        return "float16"
    return "tf32" if "TF32" in candidate else "float32"


def median_ms(record: Record) -> float:
    return float(statistics.median(record["ms"]))


def _ms_words(record: Record) -> str:
    low, high = min(record["ms"]), max(record["ms"])
    if high <= 1.02 * low:
        return f"{median_ms(record):.3f}"
    return f"{median_ms(record):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    print(document(read_report(Path(sys.argv[1]))))
