"""LIVE In the Wild Challenge, also LIVEC or CLIVE (D. Ghadiyaram and A. C. Bovik, 2016)."""

from __future__ import annotations

from pathlib import Path

from lifeiqa.config import Labels
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.data.datasets.layout import Listing, find, read_mat, require_length
from lifeiqa.data.table import number

_TRAINING_VIEWS = 7
"""Images at the head of the files that only trained the observers."""


def _listing(folder: Path) -> Listing:
    files = find(folder, "Data/AllImages_release.mat")
    labels = find(folder, "Data/AllMOS_release.mat")
    names = read_mat(files, "AllImages_release")["AllImages_release"]
    values = read_mat(labels, "AllMOS_release")["AllMOS_release"]
    require_length(labels, values, len(names))
    return Listing(
        source=str(labels),
        images=find(folder, "Images"),
        names=[str(name) for name in names[_TRAINING_VIEWS:]],
        scores=[
            number(value, f"{labels}, AllMOS_release({row})")
            for row, value in enumerate(values, start=1)
        ][_TRAINING_VIEWS:],
    )


LIVEC = Dataset(
    title="LIVE In the Wild Challenge",
    count=1162,
    labels=Labels(dataset="LIVEC", low=0, high=100),
    layout="Data/AllImages_release.mat; Data/AllMOS_release.mat; Images/",
    listing=_listing,
)
