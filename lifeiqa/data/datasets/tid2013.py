"""TID2013 (N. Ponomarenko et al., 2015)."""

from __future__ import annotations

from pathlib import Path

from lifeiqa.config import Labels
from lifeiqa.data.datasets.coded import origins
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.data.datasets.layout import Listing, column, find, read_words, scores

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
    rows = read_words(labels, "score", "name")
    names = column(rows, "name")
    references, distortions = origins(rows, names, _DISTORTIONS)
    return Listing(
        source=str(labels),
        pictures=find(folder, "distorted_images"),
        names=names,
        scores=scores(rows, "score"),
        references=references,
        distortions=distortions,
    )


TID2013 = Dataset(
    title="TID2013",
    count=3000,
    labels=Labels(dataset="TID2013", low=0, high=9),
    layout="mos_with_names.txt; distorted_images/I01_01_1.bmp ...",
    listing=_listing,
)
