"""The decoder against a ridge regression on the same frozen features, pooled.

``python -m lifeiqa_benchmarks.ridge DATA RUNS CACHE``: DATA holds ``biq2021/``, RUNS the folders
``seed-S`` of a frozen run on its tables, such as ``ablation/life-iqa``, CACHE keeps the features.
The ridge has what the decoder has: the pooled query stage and the attended stage, here as its mean
over the cells. It is solved exactly, and its penalty is chosen by five folds of the training
images, which makes it a stronger baseline than the same linear layer trained by steps.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.data.split_sampling import folds
from lifeiqa.data.table import Table, read_table
from lifeiqa.evaluation.bootstrap import difference, draw, resampled_srocc
from lifeiqa.metrics import FloatArray, srocc
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.network import ScoringModel
from lifeiqa.training.features import Cache
from lifeiqa.training.sampling import Feed, crops_by_plan

_PENALTIES = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
_RESAMPLES = 1000


def pooled(scoring: ScoringModel, manifest: Manifest, table: Table, cache: Path) -> FloatArray:
    """``(n, C_q + C_m)``: the means of the two stages over an image and its crops."""
    feed = Feed(table, manifest.preprocessing, scoring.network.config.crop_size)
    found = Cache(scoring, cache).each(feed, lambda rows: crops_by_plan(feed, rows), "plan")
    rows = []
    for image in found:
        parts = [image.query.float().mean(0)]  # (C_q,)
        if image.memory is not None:
            parts.append(image.memory.float().mean((0, 1)))  # (C_m,)
        rows.append(np.concatenate([part.numpy() for part in parts]))
    return np.stack(rows).astype(np.float64)


def ridge(
    learned: FloatArray, targets: FloatArray, asked: FloatArray, penalty: float
) -> FloatArray:
    """Predictions ``(m,)`` for ``(m, C)`` from ``(n, C)`` and ``(n,)``, columns standardised."""
    mean, deviation = learned.mean(0), learned.std(0) + 1e-6
    x = (learned - mean) / deviation
    gram = x.T @ x + penalty * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (targets - targets.mean()))
    return np.asarray((asked - mean) / deviation @ weights + targets.mean())


def chosen_penalty(table: Table, features: FloatArray) -> float:
    """The penalty whose predictions out of fold rank the training images best."""
    targets = np.asarray(table.scores)
    parts = [split.rows(table)["test"] for split in folds(table, 5)]

    def agreement(penalty: float) -> float:
        outside = np.empty(len(table))
        for tested in parts:
            rest = np.setdiff1d(np.arange(len(table)), tested)
            outside[tested] = ridge(features[rest], targets[rest], features[tested], penalty)
        return srocc(outside, targets)

    return max(_PENALTIES, key=agreement)


def main(data: str, runs: str, cache: str) -> None:
    """Print the ridge's SROCC, and the difference to it of the runs' mean, with its interval."""
    reports = [json.loads(path.read_text("utf-8")) for path in Path(runs).glob("*/report.json")]
    first = next(Path(runs).glob("seed-*/model.safetensors"))
    network, manifest = load_checkpoint(first)
    scoring = ScoringModel(network, manifest.preprocessing, manifest.labels)
    folder = Path(data) / "biq2021"
    train, val = (
        read_table(folder / f"{name}.csv", folder / "images") for name in ("train", "val")
    )
    learned, asked = (pooled(scoring, manifest, table, Path(cache)) for table in (train, val))
    penalty = chosen_penalty(train, learned)
    theirs = ridge(learned, np.asarray(train.scores), asked, penalty)
    human = np.asarray(val.scores)
    print(f"ridge, penalty {penalty:g}: SROCC {srocc(theirs, human):.4f}, n {len(val)}")
    resampled, differences = [], []
    for report in reports:
        ours = np.asarray(report["scores"]["predicted"])
        counts = draw(len(human), None, _RESAMPLES, report["seed"])
        resampled.append(difference(resampled_srocc, ours, theirs, human, counts))
        differences.append(srocc(ours, human) - srocc(theirs, human))
    low, high = np.percentile(np.mean(resampled, axis=0), (2.5, 97.5))
    print(
        f"{len(reports)} runs to the ridge: SROCC {np.mean(differences):+.4f} "
        f"({low:+.4f} to {high:+.4f})"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
