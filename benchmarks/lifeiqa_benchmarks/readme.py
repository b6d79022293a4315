"""Put the measured speed into the README, from reports: ``make bench``.

``python -m lifeiqa_benchmarks.readme README.md REPORT.json...``
"""

from __future__ import annotations

import sys
from pathlib import Path

from lifeiqa.files import atomic_write
from lifeiqa_benchmarks import table
from lifeiqa_benchmarks.card import replaced
from lifeiqa_benchmarks.report import Report


def speed_section(reports: list[Report]) -> str:
    """The tables of each report, under the conditions that they were measured in."""
    parts = []
    for report in reports:
        parts += [table.summary(report), table.conditions(report)]
        if report.starts:
            parts.append(table.starts(report))
    return "\n\n".join(parts)


def main(readme: str, *paths: str) -> None:
    """Rewrite the section between the two marks ``<!-- speed -->``."""
    file = Path(readme)
    section = speed_section([Report.from_json(Path(path)) for path in paths])
    text = replaced(file.read_text("utf-8"), "speed", section)
    with atomic_write(file) as temporary:
        temporary.write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
