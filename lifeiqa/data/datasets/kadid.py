"""KADID-10k (H. Lin, V. Hosu and D. Saupe, 2019)."""

from __future__ import annotations

from pathlib import Path

from lifeiqa.config import Labels
from lifeiqa.data.datasets import coded
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.data.datasets.layout import Listing, find, read_csv

# fmt: off
_DISTORTIONS = (
    "Gaussian blur", "lens blur", "motion blur", "colour diffusion", "colour shift",
    "colour quantization", "colour saturation 1", "colour saturation 2", "JPEG 2000", "JPEG",
    "white noise", "white noise in colour component", "impulse noise", "multiplicative noise",
    "denoise", "brighten", "darken", "mean shift", "jitter", "non-eccentricity patch",
    "pixelate", "quantization", "colour block", "high sharpen", "contrast change",
)
# fmt: on


def _listing(folder: Path) -> Listing:
    """The column is called ``dmos``, but a higher one is a better image."""
    labels = find(folder, "dmos.csv")
    return coded.listing(
        labels,
        read_csv(labels, "dist_img", "dmos"),
        images="images",
        name="dist_img",
        score="dmos",
        distortions=_DISTORTIONS,
    )


KADID = Dataset(
    title="KADID-10k",
    count=10125,
    labels=Labels(dataset="KADID-10k", low=1, high=5),
    layout="dmos.csv; images/I01_01_01.png ...",
    listing=_listing,
)
