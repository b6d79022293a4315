"""Write the figures of the bundled models into their cards: ``make card DATA=FOLDER``.

FOLDER holds ``biq2021/`` (images/, val.csv), on which agreement is measured. How scores follow the
severity of distortions was measured by the last stage of ``make bundled``, and is read from its
``measured.json``, of which a copy is in ``benchmarks/results/bundled``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.evaluation.result import Evaluation
from lifeiqa.files import atomic_write
from lifeiqa.weights import MODELS, model_file
from lifeiqa_benchmarks.measure import SOURCES, agreement_of, between


def agreement_table(found: Evaluation) -> str:
    """Agreement with human scores, whole and by source."""
    figures, intervals = found.agreement, found.intervals
    lines = [
        "| on | n | SROCC (95 %) | PLCC (95 %) | KRCC | RMSE |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| the validation images | {figures.n} "
        f"| {between(figures.srocc, intervals['srocc'])} "
        f"| {between(figures.plcc, intervals['plcc'])} | {figures.krcc:.4f} | {figures.rmse:.4f} |",
    ]
    for source, part in sorted(found.per_distortion.items()):
        lines.append(
            f"| of them {source}, {SOURCES[source]} | {part.n} "
            f"| {between(part.srocc, part.srocc_interval)} | {part.plcc:.4f} | | |"
        )
    return "\n".join(lines)


def severity_table(found: Mapping[str, Any], held_out: Sequence[str]) -> str:
    """How scores follow the severity that people see, kind by kind; see `severity.follows`."""
    lines = [
        "| distortion | SROCC | clear steps that fall | mean score at strengths 0 to 5 |",
        "| --- | --- | --- | --- |",
    ]
    for kind, own in sorted(found["kinds"].items()):
        name = f"{kind} (never learned)" if kind in held_out else kind
        means = ", ".join(f"{mean:.3f}" for mean in own["means"])
        lines.append(f"| {name} | {_figures(own)} | {means} |")
    for name, part in (("learned", "learned_kinds"), ("never learned", "untaught_kinds")):
        lines.append(f"| **all kinds {name}** | {_figures(found[part])} | |")
    return "\n".join(lines)


def _figures(own: Mapping[str, Any]) -> str:
    return " | ".join(
        "" if own[name] is None else f"{own[name]:.3f}" for name in ("srocc", "steps")
    )


def replaced(text: str, section: str, body: str) -> str:
    """``text`` with what stands between the two marks of a section replaced.

    Raises:
        ValueError: there is no such section, or more than one.
    """
    begin, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    text, count = pattern.subn(lambda _: f"{begin}\n{body}\n{end}", text)
    if count != 1:
        raise ValueError(f"{count} sections {begin}: one is expected")
    return text


def main(data: str, measured: str) -> None:
    """Rewrite the two tables of each card."""
    found = json.loads(Path(measured).read_text("utf-8"))
    for name in MODELS:
        model = model_file(name)
        held_out = read_manifest(model).training["recipe"]["held_out"]
        card = model.with_name(f"{name}.md")
        text = card.read_text("utf-8")
        text = replaced(text, "agreement", agreement_table(agreement_of(model, Path(data))))
        text = replaced(text, "severity", severity_table(found[name], held_out))
        with atomic_write(card) as temporary:
            temporary.write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
