"""Measure the bundled model and write the figures into its card: ``make card DATA=FOLDER``.

FOLDER holds ``biq2021/`` (images/, val.csv) and ``kodak/``.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

from lifeiqa.errors import LifeIQAError
from lifeiqa.evaluation.monotonicity import Monotonicity
from lifeiqa.evaluation.result import Evaluation
from lifeiqa.files import atomic_write
from lifeiqa.weights import DEFAULT, bundled
from lifeiqa_benchmarks.measure import SOURCES, agreement_of, between, monotonicity_of


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


def monotonicity_table(found: Monotonicity) -> str:
    """Shares of series and steps that fall, SROCC with opinions, mean scores at each strength."""
    lines = [
        "| distortion | monotonic series | clear steps that fall | SROCC | mean score at 0 to 5 |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind in found.kinds:
        own = found.of(kind)
        means = ", ".join(f"{mean:.3f}" for mean in own.scores.mean((0, 1)))
        lines.append(f"| {kind} | {_figures(own)} | {means} |")
    lines.append(f"| all | {_figures(found)} | |")
    return "\n".join(lines)


def _figures(found: Monotonicity) -> str:
    figures = (found.monotone, found.falling, found.srocc)
    return " | ".join("" if math.isnan(figure) else f"{figure:.3f}" for figure in figures)


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


def main(data: str) -> None:
    """Rewrite the card's two tables."""
    model = bundled()
    if model is None:
        raise LifeIQAError(f"the bundled model {DEFAULT} is missing")
    card = model.with_name("MODEL_CARD.md")
    text = card.read_text("utf-8")
    text = replaced(text, "agreement", agreement_table(agreement_of(model, Path(data))))
    found = monotonicity_of(model, Path(data))
    text = replaced(text, "monotonicity", monotonicity_table(found))
    with atomic_write(card) as temporary:
        temporary.write_text(text, "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
