"""TID2013 (N. Ponomarenko et al., 2015)."""

from __future__ import annotations

from pathlib import Path

from lifeiqa.config import Labels
from lifeiqa.data.datasets import coded
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.data.datasets.layout import Listing, find, read_words

# fmt: off
_DISTORTIONS = (
    "additive Gaussian noise", "noise in colour components", "spatially correlated noise",
    "masked noise", "high-frequency noise", "impulse noise", "quantization noise",
    "Gaussian blur", "image denoising", "JPEG", "JPEG 2000", "JPEG transmission errors",
    "JPEG 2000 transmission errors", "non-eccentricity pattern noise", "local block-wise",
    "mean shift", "contrast change", "change of colour saturation",
    "multiplicative Gaussian noise", "comfort noise", "lossy compression of noisy images",
    "colour quantization with dither", "chromatic aberrations", "sparse sampling",
)
# fmt: on


def _listing(folder: Path) -> Listing:
    labels = find(folder, "mos_with_names.txt")
    return coded.listing(
        labels,
        read_words(labels, "score", "name"),
        images="distorted_images",
        name="name",
        score="score",
        distortions=_DISTORTIONS,
    )


TID2013 = Dataset(
    title="TID2013",
    count=3000,
    labels=Labels(dataset="TID2013", low=0, high=9),
    layout="mos_with_names.txt; distorted_images/I01_01_1.bmp ...",
    listing=_listing,
)
