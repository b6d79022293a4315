"""KonIQ-10k (V. Hosu, H. Lin, T. Sziranyi and D. Saupe, 2020)."""

from __future__ import annotations

from pathlib import Path

from lifeiqa.config import Labels
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.data.datasets.layout import Index, Listing, column, find, read_csv, scores
from lifeiqa.data.table import part
from lifeiqa.errors import DatasetError

_SCORES = "koniq10k_scores_and_distributions.csv"
_SETS = "koniq10k_distributions_sets.csv"


def _listing(folder: Path) -> Listing:
    """MOS on 0..100: ``MOS_zscore`` of the scores file, or ``MOS`` of the file of the sets.

    The scores file has a ``MOS`` too, on 1..5, which is not the one that is learned.
    """
    labels = find(folder, _SCORES, _SETS)
    score = "MOS_zscore" if labels.name.lower() == _SCORES else "MOS"
    rows = read_csv(labels, "image_name", score)
    names = column(rows, "image_name")
    sets = Index(folder).get(_SETS)
    return Listing(
        source=str(labels),
        images=find(folder, "1024x768", "512x384"),
        names=names,
        scores=scores(rows, score),
        parts=None if sets is None else _parts(sets, names),
    )


def _parts(sets: Path, names: list[str]) -> list[str]:
    """The part of the official split that each image is in."""
    rows = read_csv(sets, "image_name", "set")
    parts = [part(row["set"], where) for where, row in rows]
    part_of = dict(zip(column(rows, "image_name"), parts, strict=True))
    missing = [name for name in names if name not in part_of]
    if missing:
        raise DatasetError(
            f"{sets}: {len(missing):,} of {len(names):,} images are in no set, first {missing[0]}"
        )
    return [part_of[name] for name in names]


KONIQ = Dataset(
    title="KonIQ-10k",
    count=10073,
    labels=Labels(dataset="KonIQ-10k", low=0, high=100),
    layout=f"{_SCORES} or {_SETS}; 1024x768/ or 512x384/",
    listing=_listing,
    parts={"train": 7058, "val": 1000, "test": 2015},
)
