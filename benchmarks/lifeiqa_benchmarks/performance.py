"""Write the measured speed into docs/performance.md, from reports: ``make bench``.

``python -m lifeiqa_benchmarks.performance docs/performance.md REPORT.json...``
"""

from __future__ import annotations

import sys
from pathlib import Path

from lifeiqa.files import atomic_write
from lifeiqa_benchmarks import table
from lifeiqa_benchmarks.card import replaced
from lifeiqa_benchmarks.report import Report


def speed_section(reports: list[Report]) -> str:
    """The tables of each report, under its models, with the conditions of the measurement."""
    parts = []
    for report in reports:
        parts += [f"### {_models(report)}", table.summary(report), table.conditions(report)]
        if report.starts:
            parts.append(table.starts(report))
    return "\n" + "\n\n".join(parts) + "\n"


def _models(report: Report) -> str:
    """The files that were measured, each once: ``a.safetensors, a.onnx``."""
    files = (result.name.rpartition(", ")[2] for result in report.results)
    return ", ".join(dict.fromkeys(files))


def main(page: str, *paths: str) -> None:
    """Rewrite the section between the two marks ``<!-- speed -->``."""
    file = Path(page)
    section = speed_section([Report.from_json(Path(path)) for path in paths])
    text = replaced(file.read_text("utf-8"), "speed", section)
    with atomic_write(file) as temporary:
        temporary.write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
