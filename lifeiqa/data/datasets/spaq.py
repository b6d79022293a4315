"""SPAQ (Y. Fang, H. Zhu, Y. Zeng, K. Ma and Z. Wang, 2020)."""

from __future__ import annotations

from pathlib import Path

from lifeiqa.config import Labels
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.data.datasets.layout import Listing, column, find, read_xlsx, scores

_LABELS = "Annotations/MOS and Image attribute scores.xlsx"


def _listing(folder: Path) -> Listing:
    labels = find(folder, _LABELS)
    rows = read_xlsx(labels, "Image name", "MOS")
    return Listing(
        source=str(labels),
        images=find(folder, "TestImage"),
        names=column(rows, "Image name"),
        scores=scores(rows, "MOS"),
    )


SPAQ = Dataset(
    title="SPAQ",
    count=11125,
    labels=Labels(dataset="SPAQ", low=0, high=100),
    layout=f"{_LABELS}; TestImage/00001.jpg ...",
    listing=_listing,
)
