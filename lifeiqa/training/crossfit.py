"""Softened targets: human scores mixed with what models say that did not learn the image.

A network that learns a few thousand scores exactly learns their noise, and what it cannot see in
the images, by heart. The mean of several models that were trained without an image holds
neither; learning it in part is self-distillation (T. Furlanello et al., 2018) on predictions made
out of fold, so that no target knows its own answer.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from lifeiqa.data.split_sampling import folds, make_split
from lifeiqa.data.splits import Split
from lifeiqa.data.table import Table, write_columns
from lifeiqa.errors import ConfigError
from lifeiqa.metrics import FloatArray, srocc
from lifeiqa.training.experiment import Experiment, Report, run, with_seed
from lifeiqa.training.record import is_main
from lifeiqa.training.store import follow_parent

TARGETS = "targets.csv"


def crossfit(
    experiment: Experiment,
    out: Path,
    *,
    count: int = 5,
    seeds: int = 4,
    weight: float = 0.5,
    jobs: int = 1,
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
        jobs: models that are trained at once, each in a process of its own where it is above 1:
            one small network does not fill a GPU.
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
    work = []
    for seed in range(first, first + seeds):
        for number, split in enumerate(folds(table, count, seed=seed), 1):
            one = dataclasses.replace(with_seed(experiment, seed), table=table, split=split)
            work.append((one, out / f"seed-{seed}" / f"fold-{number}", split))
    for (_, _, split), result in zip(work, _results(work, jobs, report), strict=True):
        total[split.rows(table)["test"]] += np.clip(result["scores"]["predicted"], low, high)
    outside = total / seeds
    report(f"out of fold: SROCC {srocc(outside, table.scores):.4f}, n {len(table)}")
    predicted = np.full(len(whole), np.nan)
    predicted[rows] = outside
    if is_main():
        _write(out / TARGETS, whole, predicted, weight)
    return out / TARGETS


def _results(
    work: Sequence[tuple[Experiment, Path, Split]], jobs: int, report: Report
) -> Iterator[dict[str, Any]]:
    """The reports of all runs, in order."""
    if jobs == 1:
        for experiment, folder, _ in work:
            report(f"{folder.parent.name}, {folder.name}")
            yield run(experiment, folder, resume=True, report=report)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=follow_parent) as pool:
        try:
            yield from pool.map(_run_apart, *zip(*[each[:2] for each in work], strict=True))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _run_apart(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """`run` in a process of its own, whose lines say which run they are of."""
    name = f"{folder.parent.name}, {folder.name}: "
    return run(
        experiment, folder, resume=True, report=lambda line: print(name + line, file=sys.stderr)
    )


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
