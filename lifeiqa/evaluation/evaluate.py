"""Compare a model with human scores."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lifeiqa.data.table import Table
from lifeiqa.evaluation.bootstrap import (
    draw,
    interval,
    resampled_krcc,
    resampled_plcc,
    resampled_srocc,
)
from lifeiqa.evaluation.protocol import EVERY, protocol
from lifeiqa.evaluation.result import DistortionAgreement, Evaluation, aligned
from lifeiqa.metrics import FloatArray, agreement, fit_logistic4, plcc, srocc
from lifeiqa.scorer import Scorer


def evaluate(
    scorer: Scorer,
    table: Table,
    *,
    part: str = EVERY,
    resamples: int = 1000,
    seed: int = 0,
    batch: int | None = None,
    workers: int = 0,
    progress: Callable[[int], object] = lambda done: None,
) -> Evaluation:
    """Score every image of a table and compare with its human scores.

    Predictions are negated if the model and the table differ in direction, so that a good model
    always correlates positively. A table without labels is assumed to have the model's direction.

    Args:
        scorer: the model.
        table: at least two images with human scores.
        part: description of the images for the report; see `take_part`.
        resamples: of the bootstrap, by reference if the table names references; 0 for none. The
            interval after the logistic fit uses the curve that was fitted to all images: a new fit
            for each resample costs minutes, and hardly moves four parameters of hundreds of scores.
        seed: of the bootstrap.
        batch: crops in one run, see `lifeiqa.Scorer.score_many`. None gives the scores of
            `lifeiqa.Scorer.score` to the last bit.
        workers: processes that decode; 0 decodes in this one.
        progress: called with the number of images done so far.

    Raises:
        DatasetError: there are fewer than two images, or all human scores are equal.
        ImageError: an image cannot be scored. No image is left out silently.
    """
    table.require_spread()
    scores = []
    for done, score in enumerate(scorer.score_many(table.paths, batch=batch, workers=workers), 1):
        scores.append(score.value)
        progress(done)
    predicted, manifest = tuple(scores), scorer.manifest
    x, y = aligned(predicted, manifest, table), np.asarray(table.scores, dtype=np.float64)
    figures = agreement(x, y)
    intervals = {}
    if resamples:
        counts = draw(len(y), table.references, resamples, seed)
        intervals = {
            "srocc": interval(resampled_srocc, x, y, counts),
            "krcc": interval(resampled_krcc, x, y, counts),
            "plcc": interval(resampled_plcc, x, y, counts),
            "plcc_logistic4": interval(resampled_plcc, fit_logistic4(x, y).predict(x), y, counts),
        }
    return Evaluation(
        manifest=manifest,
        runtime=scorer.session.runtime,
        crops=scorer.preprocessing.crops,
        table=table,
        predicted=predicted,
        protocol=protocol(manifest, table, part),
        agreement=figures,
        intervals=intervals,
        resamples=resamples,
        per_distortion=_per_distortion(x, y, table, resamples, seed),
    )


def _per_distortion(
    x: FloatArray, y: FloatArray, table: Table, resamples: int, seed: int
) -> dict[str, DistortionAgreement]:
    """Agreement by kind of distortion. Rows without a kind count only in the total."""
    kinds, parts = table.distortions or (), {}
    for kind in filter(None, dict.fromkeys(kinds)):
        rows = [row for row, other in enumerate(kinds) if other == kind]
        if len(rows) < 2:
            parts[kind] = DistortionAgreement(len(rows), math.nan, math.nan, None)
            continue
        u, v, bounds = x[rows], y[rows], None
        if resamples:
            counts = draw(len(rows), table.take(rows).references, resamples, seed)
            bounds = interval(resampled_srocc, u, v, counts)
        parts[kind] = DistortionAgreement(len(rows), srocc(u, v), plcc(u, v), bounds)
    return parts
