"""CSIQ (E. C. Larson and D. M. Chandler, 2010)."""

from __future__ import annotations

from pathlib import Path

from lifeiqa.config import Labels
from lifeiqa.data.datasets.dataset import Dataset
from lifeiqa.data.datasets.layout import Listing, Rows, column, find, read_words, read_xlsx, scores
from lifeiqa.errors import DatasetError

# Types as the workbook writes them, and as the images' names do. Both also name a folder.
_TYPES = {
    "noise": "AWGN",
    "jpeg": "JPEG",
    "jpeg 2000": "jpeg2000",
    "fnoise": "fnoise",
    "blur": "BLUR",
    "contrast": "contrast",
}


def _listing(folder: Path) -> Listing:
    """DMOS from the workbook or the flat list, of images in folders by type or all in one."""
    labels = find(folder, "csiq.DMOS.xlsx", "csiq_label.txt")
    if labels.suffix.lower() == ".xlsx":
        rows = read_xlsx(labels, "image", "dst_type", "dst_lev", "dmos", sheet="all_by_image")
        names = [_image_of(where, row) for where, row in rows]
    else:
        rows = read_words(labels, "name", "dmos")
        names = column(rows, "name")
    references, types = _origins(rows, names)
    images = find(folder, "dst_imgs", "dst_imgs_all")
    return Listing(
        source=str(labels),
        images=images,
        names=names
        if images.name.lower() == "dst_imgs_all"
        else [f"{kind}/{name}" for kind, name in zip(types, names, strict=True)],
        scores=scores(rows, "dmos"),
        references=references,
        distortions=types,
    )


def _image_of(where: str, row: dict[str, object]) -> str:
    """``1600.AWGN.1.png`` from a row of the workbook."""
    kind, level = row["dst_type"], row["dst_lev"]
    if kind not in _TYPES or not isinstance(level, int | float) or level != int(level):
        raise DatasetError(
            f"{where}: type {kind!r} and level {level!r}: a type of {', '.join(_TYPES)} "
            f"and a whole level are expected"
        )
    # Spreadsheets keep the image 1600 as a number.
    return f"{row['image']}.{_TYPES[str(kind)]}.{int(level)}.png"


def _origins(rows: Rows, names: list[str]) -> tuple[list[str], list[str]]:
    """The reference and the type that each image's name tells."""
    spelled = {kind.lower(): kind for kind in _TYPES.values()}
    references, types = [], []
    for (where, _), name in zip(rows, names, strict=True):
        words = name.split(".")
        if len(words) != 4 or words[1].lower() not in spelled:
            raise DatasetError(f"{where}: {name!r}: a name such as 1600.AWGN.1.png is expected")
        references.append(words[0])
        types.append(spelled[words[1].lower()])
    return references, types


CSIQ = Dataset(
    title="CSIQ",
    count=866,
    labels=Labels(dataset="CSIQ", low=0, high=1, direction="lower"),
    layout="csiq.DMOS.xlsx or csiq_label.txt; dst_imgs/TYPE/1600.AWGN.1.png ... "
    "or dst_imgs_all/1600.AWGN.1.png ...",
    listing=_listing,
)
