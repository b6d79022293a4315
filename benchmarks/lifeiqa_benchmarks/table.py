"""A report as Markdown: one table of speed, and the parts below it."""

from __future__ import annotations

import statistics
from typing import Any

from lifeiqa_benchmarks.report import Report, Result
from lifeiqa_benchmarks.turns import Timing

Row = list[str]


def summary(report: Report) -> str:
    """One row a candidate and batch size: latency, throughput, ratio to the baseline, drift."""
    header = ["candidate", "batch", "p50 ms", "p99 ms", "crops/s", "speedup", "drift"]
    header += ["SROCC"]
    # A column of its own where there is a GPU, and none elsewhere.
    on_device = any(timing.device_ms for result in report.results for timing in result.timings)
    if on_device:
        header.append("p50 ms on the GPU")
    rows = []
    for result in report.results:
        if result.failed is not None:
            rows.append([result.name, "", "not measured", *[""] * (len(header) - 3)])
        for timing in result.timings:
            found = result.accuracy
            rows.append(
                [
                    result.name,
                    str(timing.batch),
                    f"{timing.percentile(50):.1f}",
                    f"{timing.percentile(99):.1f}",
                    f"{timing.throughput:.1f}",
                    ratio_words(timing),
                    "-" if found is None else f"{found.max_drift:.1e}",
                    "-" if found is None else f"{found.srocc:.5f}",
                ]
            )
            if on_device:
                spent = timing.device_ms
                rows[-1].append(f"{statistics.median(spent):.2f}" if spent else "-")
    return markdown(header, rows)


def start_and_size(report: Report) -> str:
    """One row a candidate: file, memory, start; and agreement with people where it was measured."""
    header = ["candidate", "file MB", "peak MB", "load s", "first score s", "human SROCC"]
    rows = [
        [
            result.name,
            f"{result.size_bytes / 1e6:.1f}",
            _number(result.peak_bytes, 1e-6, ".0f"),
            _number(result.load_s, 1, ".2f"),
            _number(result.first_score_s, 1, ".2f"),
            _human(result),
        ]
        for result in report.results
    ]
    return markdown(header, rows)


def stages(report: Report) -> str:
    """Milliseconds an image in each stage, for single images and for a folder."""
    header = ["candidate", "images", "decode ms", "resize and crop ms", "inference ms"]
    rows = []
    for result in report.results:
        if result.stages is None:
            continue
        for name, spent in (
            ("one by one", result.stages.single),
            ("gathered", result.stages.folder),
        ):
            figures = [
                f"{spent[stage]:.1f}" for stage in ("decode", "resize and crop", "inference")
            ]
            rows.append([result.name, name, *figures])
    return markdown(header, rows)


def roofline(report: Report) -> str:
    """The share of the machine's own matrix product that each candidate reaches."""
    if report.flops_per_crop is None or report.peak_flops is None:
        return "Operations were not counted: the baseline is not PyTorch."
    header = ["candidate", "batch", "GFLOP/s", "share of the peak"]
    rows = []
    for result in report.results:
        for timing in result.timings:
            share = report.share_of_peak(timing) or 0.0
            rate = timing.throughput * report.flops_per_crop / 1e9
            rows.append([result.name, str(timing.batch), f"{rate:.0f}", f"{share:.0%}"])
    words = (
        f"{report.flops_per_crop / 1e9:.2f} GFLOP a crop; the best float32 matrix product of this "
        f"machine in this run, on as many threads: {report.peak_flops / 1e9:.0f} GFLOP/s."
    )
    return f"{words}\n\n{markdown(header, rows)}"


def starts(report: Report) -> str:
    """Seconds of whole processes."""
    rows = [[name, f"{seconds:.3f}"] for name, seconds in report.starts.items()]
    return markdown(["cold process", "s"], rows)


def failures(report: Report) -> str:
    """What could not be measured, and why; empty when all of it was."""
    lost = [result for result in report.results if result.failed is not None]
    return "\n".join(f"- {result.name}: not measured: {result.failed}" for result in lost)


def conditions(report: Report) -> str:
    """What it was measured on, in one sentence or two."""
    machine, settings = report.machine, report.settings
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    gpu = f"; {machine['gpu']['name']}" if machine["gpu"] else "; no GPU"
    return (
        f"{machine['cpu']} ({machine['cores']} cores, {', '.join(machine['flags'])}){gpu}; "
        f"{settings['threads']} threads; {packages}; commit {machine['commit']}; load at the "
        f"start {machine['load'][0]}. Each candidate ran in its own process, in "
        f"{settings['turns']} turns with the baseline, {settings['seconds']:g} s for each batch "
        f"size, after a warm-up; no run was left out. Speedup: median over the turns, with its "
        f"95 % interval. Drift: largest difference from the baseline as a share of the label "
        f"range, over "
        f"{report.results[0].accuracy.n if report.results[0].accuracy else 0} crops."
    )


def document(report: Report) -> str:
    """Everything, as one Markdown text."""
    parts = {
        "Speed": summary(report),
        "Start, memory, agreement": start_and_size(report),
        "Where the time of an image goes": stages(report),
        "Against the machine": roofline(report),
        "Cold starts": starts(report) if report.starts else "",
        "Not measured": failures(report),
    }
    sections = [f"## {title}\n\n{body}" for title, body in parts.items() if body]
    return "\n\n".join(["# lifeiqa-bench", conditions(report), *sections]) + "\n"


def ratio_words(timing: Timing) -> str:
    """``1.32 (1.29 to 1.35)``; 1 for the baseline."""
    ratio = timing.ratio
    return "1" if ratio is None else f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def markdown(header: Row, rows: list[Row]) -> str:
    """A table whose columns are aligned, so that it reads well as plain text too."""
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in table]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def _human(result: Result) -> str:
    found = result.accuracy
    if found is None or found.human_srocc is None:
        return "-"
    return f"{found.human_srocc:.4f} (n {found.human_n})"


def _number(value: Any, factor: float, style: str) -> str:
    return "-" if value is None else format(value * factor, style)
