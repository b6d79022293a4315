"""Write the photographs of the parity reports as files, whole and distorted.

``python -m lifeiqa_benchmarks.distorted FOLDER`` gives INT8 something to be calibrated on where no
other images are at hand; those that a model is to score are better.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from lifeiqa.data.distortions import distort
from lifeiqa.data.images import PARITY_DISTORTIONS
from lifeiqa.preprocess.decode import decode
from lifeiqa_export.photographs import photographs


def write_distorted(folder: Path) -> None:
    """Write 12 photographs in 6 forms each, as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in photographs():
        pixels = decode(path)
        for kind, strength in PARITY_DISTORTIONS:
            image = Image.fromarray(distort(pixels, kind, strength))
            image.save(folder / f"{path.stem}.{kind}.{strength}.png")


if __name__ == "__main__":
    write_distorted(Path(sys.argv[1]))
