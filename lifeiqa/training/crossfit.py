"""Softened targets: human scores mixed with what models say that did not learn the image.

A network that learns a few thousand scores exactly learns their noise, and what it cannot see in
the images, by heart. The mean of several models that were trained without an image holds
neither; learning it in part is self-distillation (T. Furlanello et al., 2018) on predictions made
out of fold, so that no target knows its own answer.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from lifeiqa.data.split_sampling import folds, make_split
from lifeiqa.data.table import Table, write_columns
from lifeiqa.errors import ConfigError
from lifeiqa.metrics import FloatArray, srocc
from lifeiqa.training.experiment import Experiment, Report, run, with_seed
from lifeiqa.training.record import is_main

TARGETS = "targets.csv"


def crossfit(
    experiment: Experiment,
    out: Path,
    *,
    count: int = 5,
    seeds: int = 4,
    weight: float = 0.5,
    report: Report = print,
) -> Path:
    """Train on all folds but one, again and again, and soften the scores of the one left out.

    Every seed draws folds of its own. What is done already in ``out`` is not repeated.

    Args:
        experiment: how each model is trained. Where its table comes with a split, the images to
            learn from alone are softened; the others keep their human scores, and teach nothing.
        out: folder of the runs, ``out/seed-S/fold-K``, and of the result.
        count: number of folds.
        seeds: number of models for each image.
        weight: of the models in a target, in [0, 1].
        report: takes one line of text at a time.

    Returns:
        ``out/targets.csv``: path, score, human and out_of_fold, and what else the table knows.

    Raises:
        ConfigError: the experiment brings validation images of its own, or another protocol
            than the honest one, under which a fold would choose the model that is to score it.
        LifeIQAError: see `lifeiqa.data.split_sampling.folds` and `lifeiqa.training.experiment.run`.
    """
    if not 0 <= weight <= 1:
        raise ConfigError(f"weight is {weight}: a weight in [0, 1] is expected")
    if experiment.val is not None or experiment.protocol != "honest":
        raise ConfigError("every fold chooses on images of its own: leave out --val, --protocol")
    whole = experiment.table
    rows = _learned(experiment)
    table = dataclasses.replace(whole.take(rows), parts=None)
    low, high = experiment.labels.low, experiment.labels.high
    total = np.zeros(len(table))
    first = experiment.settings.training.seed
    for seed in range(first, first + seeds):
        for number, split in enumerate(folds(table, count, seed=seed), 1):
            report(f"seed {seed}, fold {number} of {count}")
            one = dataclasses.replace(with_seed(experiment, seed), table=table, split=split)
            folder = out / f"seed-{seed}" / f"fold-{number}"
            result = run(one, folder, resume=True, report=report)
            total[split.rows(table)["test"]] += np.clip(result["scores"]["predicted"], low, high)
    outside = total / seeds
    report(f"out of fold: SROCC {srocc(outside, table.scores):.4f}, n {len(table)}")
    predicted = np.full(len(whole), np.nan)
    predicted[rows] = outside
    if is_main():
        _write(out / TARGETS, whole, predicted, weight)
    return out / TARGETS


def _learned(experiment: Experiment) -> list[int]:
    """The rows that may be learned from."""
    table, split = experiment.table, experiment.split
    if split is None and table.parts is not None:
        split = make_split(table, method="official", val=0.0)
    return list(range(len(table))) if split is None else split.rows(table)["train"]


def _write(path: Path, table: Table, predicted: FloatArray, weight: float) -> None:
    known = ~np.isnan(predicted)
    human = np.asarray(table.scores)
    columns = {
        "path": [path.absolute() for path in table.paths],
        "score": np.where(known, (1 - weight) * human + weight * predicted, human).tolist(),
        "human": table.scores,
        "out_of_fold": [value if k else "" for value, k in zip(predicted, known, strict=True)],
        "reference": table.references,
        "distortion": table.distortions,
        "split": table.parts,
    }
    write_columns(path, columns)
