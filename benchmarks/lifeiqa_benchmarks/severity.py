"""How the scores of Kodak's photographs follow the severity that people see in 25 distortions.

Kodak is for measuring alone: nothing is learned or chosen on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.config import Preprocessing
from lifeiqa.data.distortions import KINDS, LEVELS, distort, mean_opinion
from lifeiqa.data.images import images_in
from lifeiqa.data.table import Table
from lifeiqa.metrics import FloatArray, plcc, srocc
from lifeiqa.preprocess.crops import crops_from_pixels
from lifeiqa.preprocess.decode import Pixels, decode
from lifeiqa.runtimes import open_session
from lifeiqa.runtimes.base import Session
from lifeiqa.training.store import CropStore, identity

STEP = 0.3
"""Fall of the mean opinion, of 1 to 5, from which a step counts."""
RUINED = 2.0
"""Mean opinion below which an image at the highest strength is ruined."""
_BATCH = 64


@dataclass(frozen=True)
class KodakCrops:
    """One image under one kind at all strengths -> its crops, strength by strength from 0."""

    preprocessing: Preprocessing
    size: int

    def __call__(self, what: Any) -> Pixels:
        path, kind = what
        pixels = decode(path)
        forms = [distort(pixels, kind, strength, seed=0) for strength in range(LEVELS + 1)]
        return np.concatenate(
            [crops_from_pixels(form, self.preprocessing, self.size) for form in forms]
        )


def kodak_scores(
    session: Session, photographs: Sequence[Path], cache: Path, *, workers: int = 0
) -> tuple[FloatArray, list[str]]:
    """Scores ``(images, kinds, 6)`` at strengths 0 to 5, and the kinds: those that are tabled."""
    kinds = [name for name, kind in KINDS.items() if kind.tabled]
    manifest = session.manifest
    size, fed = manifest.config.crop_size, manifest.preprocessing
    # All of Kodak is 3:2, upright or not: a plan that depends on the image gives as many of each.
    windows = len(crops_from_pixels(decode(photographs[0]), fed, size))
    make = KodakCrops(fed, size)
    store = CropStore(cache, ["kodak", dataclasses.asdict(fed)], (LEVELS + 1) * windows, size)
    items: Any = [(path, kind) for path in photographs for kind in kinds]
    names = [f"{identity(path)} {kind}" for path, kind in items]
    rows = store.fill(items, make, workers=workers, names=names)
    crops = store.crops()
    scores = [_scores(session, crops[row]).reshape(LEVELS + 1, windows).mean(1) for row in rows]
    return np.asarray(scores, np.float64).reshape(len(photographs), len(kinds), -1), kinds


def measured(
    model: Path,
    data: Path,
    cache: Path,
    *,
    held_out: Sequence[str],
    workers: int = 0,
    val: Table,
) -> dict[str, Any]:
    """The figures of one model, as plain values.

    Args:
        model: a checkpoint or another model file, higher scores being better.
        data: holds ``kodak``.
        cache: folder of distorted crops.
        held_out: kinds that the model did not learn.
        workers: processes that distort.
        val: validation images; their names begin with their source.
    """
    photographs = sorted(images_in(data / "kodak"))
    with open_session(model) as session:
        scores, kinds = kodak_scores(session, photographs, cache, workers=workers)
        fed, size = session.manifest.preprocessing, session.manifest.config.crop_size
        given = np.asarray(
            [_scores(session, crops_from_pixels(decode(p), fed, size)).mean() for p in val.paths]
        )
    human = np.asarray(val.scores)
    sources = np.asarray([path.name.partition("_")[0] for path in val.paths])
    table = np.asarray([[mean_opinion(k, s) for s in range(LEVELS + 1)] for k in kinds])
    unknown = np.asarray([kind in held_out for kind in kinds])
    found: dict[str, Any] = {
        "name": read_manifest(model).name,
        "val_srocc": srocc(given, human),
        "val_plcc": plcc(given, human),
        "val_by_source": {
            str(source): srocc(given[sources == source], human[sources == source])
            for source in np.unique(sources)
            if (sources == source).sum() > 2
        },
        "val_median": float(np.median(given)),
        "pristine": float(scores[:, :, 0].mean()),
        "learned_kinds": follows(scores[:, ~unknown], table[~unknown], float(np.median(given))),
        "untaught_kinds": follows(scores[:, unknown], table[unknown], float(np.median(given))),
        "kinds": {
            kind: follows(scores[:, [i]], table[[i]], float(np.median(given)))
            | {"means": scores[:, i].mean(0).round(4).tolist()}
            for i, kind in enumerate(kinds)
        },
    }
    return found


def follows(scores: FloatArray, table: FloatArray, median: float) -> dict[str, float | None]:
    """How scores ``(images, kinds, 6)`` follow mean opinions ``(kinds, 6)``.

    Returns:
        srocc: over all images, kinds and strengths 1 to 5.
        steps: share of the steps that fall, of those where the opinion falls by `STEP` or more.
        monotone: share of the series that fall at every such step.
        ruined: largest share of ruined images of a kind whose score is above ``median``, the
            median score of validation images; None where the kinds ruin none.
    """
    wanted = np.broadcast_to(table, scores.shape)
    falls = np.diff(scores, axis=-1) < 0  # (images, kinds, 5)
    counted = np.broadcast_to(np.diff(table, axis=-1) <= -STEP + 1e-9, falls.shape)
    ruin = table[:, -1] < RUINED
    above = (scores[:, ruin, -1] > median).mean(0)
    return {
        "srocc": srocc(scores[..., 1:].ravel(), wanted[..., 1:].ravel()),
        "steps": float(falls[counted].mean()) if counted.any() else None,
        "monotone": float((falls | ~counted).all(-1).mean()),
        "ruined": float(above.max()) if ruin.any() else None,
    }


def _scores(session: Session, crops: Pixels) -> FloatArray:
    parts = [
        session.run(np.ascontiguousarray(crops[i : i + _BATCH]))
        for i in range(0, len(crops), _BATCH)
    ]
    return np.concatenate(parts).astype(np.float64)
