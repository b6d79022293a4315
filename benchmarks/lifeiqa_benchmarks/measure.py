"""Measurements of a model on BIQ2021 and Kodak, as its card and the table of runs state them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lifeiqa.data.images import images_in
from lifeiqa.data.table import Table, read_table
from lifeiqa.evaluation.evaluate import evaluate
from lifeiqa.evaluation.monotonicity import Monotonicity, measure_monotonicity
from lifeiqa.evaluation.result import Evaluation
from lifeiqa.scorer import Scorer

SOURCES = {
    "ss01": "authentic photographs",
    "ss02": "distorted on purpose at capture",
    "ss03": "from a photo-sharing site",
}
"""What the beginning of an image's name says in BIQ2021."""


def validation(data: Path) -> Table:
    """The 300 validation images; the source of each stands where a distortion would."""
    table = read_table(data / "biq2021" / "val.csv", data / "biq2021" / "images")
    kinds = tuple(path.name.partition("_")[0] for path in table.paths)
    return dataclasses.replace(table, distortions=kinds)


def agreement_of(model: Path, data: Path) -> Evaluation:
    """Agreement with the human scores, whole and by source."""
    with Scorer(model) as scorer:
        return evaluate(scorer, validation(data), part="the validation images")


def monotonicity_of(model: Path, data: Path) -> Monotonicity:
    """How the scores of the Kodak photographs fall under distortions of rising strength."""
    with Scorer(model) as scorer:
        return measure_monotonicity(scorer, images_in(data / "kodak"))


def between(figure: float, interval: tuple[float, float] | None) -> str:
    """A figure with its 95 % interval."""
    return f"{figure:.4f}" + (f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else "")
