"""The published data sets, read from copies in their published layouts."""

from __future__ import annotations

from pathlib import Path

from lifeiqa.data.datasets.biq2021 import BIQ2021
from lifeiqa.data.datasets.csiq import CSIQ
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.data.datasets.kadid import KADID
from lifeiqa.data.datasets.koniq import KONIQ
from lifeiqa.data.datasets.live import LIVE
from lifeiqa.data.datasets.livec import LIVEC
from lifeiqa.data.datasets.spaq import SPAQ
from lifeiqa.data.datasets.tid2013 import TID2013
from lifeiqa.data.table import Table
from lifeiqa.errors import DatasetError

__all__ = ["DATASETS", "Dataset", "dataset_named", "read_dataset"]

DATASETS: dict[str, Dataset] = {
    "live": LIVE,
    "csiq": CSIQ,
    "tid2013": TID2013,
    "kadid": KADID,
    "livec": LIVEC,
    "koniq": KONIQ,
    "spaq": SPAQ,
    "biq2021": BIQ2021,
}
"""Short name -> data set, those with references first."""


def dataset_named(name: str) -> Dataset:
    """The data set of a short name, whatever its case.

    Raises:
        DatasetError: there is none of this name.
    """
    try:
        return DATASETS[name.lower()]
    except KeyError:
        raise DatasetError(
            f"{name!r} is not a data set that is known: one of {', '.join(DATASETS)} is expected. "
            f"Any other is read from a CSV"
        ) from None


def read_dataset(name: str, folder: Path) -> Table:
    """Read a copy of a data set, and check that it is complete; no image is opened.

    Args:
        name: a key of `DATASETS`.
        folder: of the copy, in its published layout.

    Raises:
        DatasetError: see `Dataset.read`, or there is no such data set.
    """
    return dataset_named(name).read(folder)
