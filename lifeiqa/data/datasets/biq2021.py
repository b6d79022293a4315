"""BIQ2021 (N. Ahmed and S. Asif, 2022)."""

from __future__ import annotations

from pathlib import Path

from lifeiqa.config import Labels
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.data.datasets.layout import Listing, column, find, read_csv, scores

# Earlier lists, Train.csv and Test.csv, hold other scores, some below 0.
_LISTS = {"train": "Train (Images and MOS).csv", "test": "Test (Images and MOS).csv"}


def _listing(folder: Path) -> Listing:
    """The training list has two empty last columns; some ``.jpg`` of the lists are ``.JPG``."""
    labels = {part: find(folder, name) for part, name in _LISTS.items()}
    rows = {part: read_csv(path, "Image Name", "MOS") for part, path in labels.items()}
    together = [row for part in _LISTS for row in rows[part]]
    return Listing(
        source=" and ".join(map(str, labels.values())),
        images=find(folder, "Images"),
        names=column(together, "Image Name"),
        scores=scores(together, "MOS"),
        parts=[part for part in _LISTS for _ in rows[part]],
    )


BIQ2021 = Dataset(
    title="BIQ2021",
    count=12000,
    labels=Labels(dataset="BIQ2021", low=0, high=1),
    layout=f"{' and '.join(_LISTS.values())}; Images/",
    listing=_listing,
    parts={"train": 10000, "test": 2000},
)
