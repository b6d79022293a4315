"""LIVE, release 2 (H. R. Sheikh, Z. Wang, L. Cormack and A. C. Bovik, 2006)."""

from __future__ import annotations

from itertools import compress
from pathlib import Path

from lifeiqa.config import Labels
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.data.datasets.layout import Listing, find, read_mat, require_length
from lifeiqa.data.table import number

# The vectors of the label files run through these folders in this order, img1.bmp first in each.
_FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}


def _listing(folder: Path) -> Listing:
    """DMOS of the distorted images: rows whose ``orgs`` is 1 are copies of the references.

    The realigned scores are taken where they are, as published results on LIVE use them.
    """
    labels = find(folder, "dmos_realigned.mat", "dmos.mat")
    score = "dmos_new" if labels.name.lower() == "dmos_realigned.mat" else "dmos"
    found = read_mat(labels, score, "orgs")
    origins = find(folder, "refnames_all.mat")
    references = read_mat(origins, "refnames_all")["refnames_all"]
    rows = [(kind, i) for kind, size in _FOLDERS.items() for i in range(1, size + 1)]
    for path, values in ((labels, found[score]), (labels, found["orgs"]), (origins, references)):
        require_length(path, values, len(rows))
    kept = [not origin for origin in found["orgs"]]
    return Listing(
        source=str(labels),
        images=folder,
        names=[f"{kind}/img{i}.bmp" for kind, i in compress(rows, kept)],
        scores=[
            number(value, f"{labels}, {score}({row})")
            for row, value in enumerate(found[score], start=1)
            if kept[row - 1]
        ],
        references=[str(name) for name in compress(references, kept)],
        distortions=[kind for kind, _ in compress(rows, kept)],
    )


LIVE = Dataset(
    title="LIVE (release 2)",
    count=779,
    labels=Labels(dataset="LIVE", low=0, high=100, direction="lower"),
    layout=f"{', '.join(_FOLDERS)}, each with img1.bmp ...; dmos_realigned.mat or dmos.mat; "
    f"refnames_all.mat",
    listing=_listing,
)
