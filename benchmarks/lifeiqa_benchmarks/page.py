"""A report as one HTML file that needs nothing else: tables, and plots as SVG inside."""

from __future__ import annotations

import html
import io
from typing import Any

import numpy as np

from lifeiqa.errors import require
from lifeiqa_benchmarks import table
from lifeiqa_benchmarks.report import Report, Result

_COLOURS = ("#33669a", "#c8402f", "#3f8f5b", "#8a5fa8", "#b07d1a", "#5a5a5a", "#2aa0a8")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em;
       color: #222; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #ddd; padding: .25em .8em; text-align: left; }
th { border-bottom: 2px solid #888; }
figure { margin: 1.5em 0; overflow-x: auto; } figcaption { color: #555; }
svg { max-width: 100%; height: auto; }
"""


def page(report: Report) -> str:
    """The whole page.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    sections = [
        ("Speed", _table(table.summary(report))),
        (
            "",
            _figure(_latency, report, "Latency of every run at each batch size; the line is p50."),
        ),
        ("", _figure(_throughput, report, "Crops a second by batch size.")),
        (
            "",
            _figure(
                _accuracy,
                report,
                "Drift against speed: fast and faithful is at the upper "
                "left; what is fast and wrong is at the right.",
            ),
        ),
        ("Start, memory, agreement", _table(table.start_and_size(report))),
        ("Where the time of an image goes", _table(table.stages(report))),
        ("Against the machine", _prose_and_table(table.roofline(report))),
        *([("Cold starts", _table(table.starts(report)))] if report.starts else []),
        (
            "Not measured",
            f"<p>{html.escape(table.failures(report) or 'Nothing was left out.')}</p>",
        ),
    ]
    body = "\n".join((f"<h2>{title}</h2>\n" if title else "") + text for title, text in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>lifeiqa-bench</title>\n'
        f"<style>{_STYLE}</style>\n<h1>lifeiqa-bench</h1>\n"
        f"<p>{html.escape(table.conditions(report))}</p>\n{body}\n</html>\n"
    )


def _latency(report: Report, figure: Any) -> None:
    batches = report.settings["batches"]
    shown = [result for result in report.results if result.timings]
    for column, batch in enumerate(batches):
        axes = figure.add_subplot(1, len(batches), column + 1)
        for row, result in enumerate(shown):
            timing = result.timing(batch)
            if timing is None:
                continue
            # Spread up and down at random, so that equal latencies do not hide each other.
            jitter = np.random.default_rng(0).uniform(-0.3, 0.3, len(timing.ms))
            axes.plot(timing.ms, row + jitter, ".", color=_colour(row), alpha=0.4, markersize=4)
            middle = timing.percentile(50)
            axes.plot([middle, middle], [row - 0.4, row + 0.4], color=_colour(row), linewidth=2)
        axes.set_yticks(range(len(shown)), [_label(each) for each in shown] if column == 0 else [])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set_xlabel(f"ms, batch {batch}")


def _throughput(report: Report, figure: Any) -> None:
    axes = figure.add_subplot()
    for row, result in enumerate(each for each in report.results if each.timings):
        batches = [str(timing.batch) for timing in result.timings]
        rates = [timing.throughput for timing in result.timings]
        axes.plot(batches, rates, "o-", color=_colour(row), label=_label(result))
    axes.set_ylim(bottom=0)
    axes.set_xlabel("batch")
    axes.set_ylabel("crops a second")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def _accuracy(report: Report, figure: Any) -> None:
    axes = figure.add_subplot()
    least = 1e-8  # an equal score has drift 0, which has no place on a logarithmic axis
    for row, result in enumerate(each for each in report.results if each.timings):
        if result.accuracy is None:
            continue
        fastest = max(timing.throughput for timing in result.timings)
        drift = max(result.accuracy.max_drift, least)
        axes.plot(drift, fastest, "o", color=_colour(row), markersize=9, label=_label(result))
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(
        "largest drift from the baseline, share of the label range (0 is shown as 1e-8)"
    )
    axes.set_ylabel("crops a second, best batch")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))


def _figure(draw: Any, report: Report, caption: str) -> str:
    """An SVG with its text as text, drawn without pyplot, so that nothing global changes."""
    matplotlib = require("matplotlib", extra="evaluation", purpose="the plots of a report")
    require("matplotlib.figure", extra="evaluation", purpose="the plots of a report")
    figure = matplotlib.figure.Figure(figsize=(11, 3.6), layout="constrained")
    draw(report, figure)
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#eee")
        axes.set_axisbelow(True)
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": caption}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    image = text.getvalue()
    return (
        f"<figure>{image[image.index('<svg') :]}"
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _table(text: str) -> str:
    """A Markdown table of ours as HTML."""
    rows = [
        [html.escape(cell.strip()) for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if not set(line) <= set("|- ")
    ]
    cells = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows[1:]]
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def _prose_and_table(text: str) -> str:
    prose, _, rest = text.partition("\n\n")
    return f"<p>{html.escape(prose)}</p>" + (_table(rest) if rest else "")


def _colour(row: int) -> str:
    return _COLOURS[row % len(_COLOURS)]


def _label(result: Result) -> str:
    return result.name.replace(", ", "\n", 1)
