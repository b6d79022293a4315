"""Copies of the published data sets in their layouts, with empty files for images.

The label files are made by the libraries that would have made the published ones. Each builder
gives the names of its images, below the folder, that have a score.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import scipy.io

LIVE_FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
# The published files mark copies of the references at no such regular places, but as many.
LIVE_COPIES = {"jp2k": 58, "jpeg": 58, "wn": 29, "gblur": 29, "fastfading": 29}
CSIQ_TYPES = {
    "noise": "AWGN",
    "jpeg": "JPEG",
    "jpeg 2000": "jpeg2000",
    "fnoise": "fnoise",
    "blur": "BLUR",
    "contrast": "contrast",
}


def touch(folder: Path, names: Iterable[str]) -> None:
    for parent in {(folder / name).parent for name in names}:
        parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def strings(names: Sequence[str]) -> Any:
    """A cell array of MATLAB."""
    cells = np.empty(len(names), dtype=object)
    cells[:] = names
    return cells


def live(folder: Path, *, realigned: bool = True) -> list[str]:
    """All 982 rows; the score of row ``i`` is ``i / 10``, in the realigned file."""
    rows = [(kind, i) for kind, size in LIVE_FOLDERS.items() for i in range(1, size + 1)]
    copies = [i > LIVE_FOLDERS[kind] - LIVE_COPIES[kind] for kind, i in rows]
    names = [f"{kind}/img{i}.bmp" for (kind, i), copy in zip(rows, copies, strict=True) if not copy]
    touch(folder, names)
    touch(folder, ["refimgs/bikes.bmp"])
    scores, orgs = np.arange(982) / 10, np.array(copies, dtype=np.uint8)
    scipy.io.savemat(folder / "dmos.mat", {"dmos": scores + 1, "orgs": orgs})
    if realigned:
        scipy.io.savemat(folder / "dmos_realigned.mat", {"dmos_new": scores, "orgs": orgs})
    references = [f"ref{row % 29}.bmp" for row in range(982)]
    scipy.io.savemat(folder / "refnames_all.mat", {"refnames_all": strings(references)[None]})
    return names


def csiq(folder: Path, *, flat: bool = False) -> list[str]:
    """866 images of 30 references: contrast has a level less for 34 of them, in turn."""
    references = ["1600", *(f"view_{i}" for i in range(1, 30))]
    rows = [
        (reference, kind, level)
        for kind in CSIQ_TYPES
        for i, reference in enumerate(references)
        for level in range(1, (5 if kind != "contrast" else 4 if i < 26 else 3) + 1)
    ]
    files = [f"{reference}.{CSIQ_TYPES[kind]}.{level}.png" for reference, kind, level in rows]
    if flat:
        names = [f"dst_imgs_all/{file}" for file in files]
        lines = [f"{file} {row / 1000:.3f}\n" for row, file in enumerate(files)]
        write(folder / "csiq_label.txt", "".join(lines))
    else:
        kinds = [CSIQ_TYPES[kind].lower() for _, kind, _ in rows]
        names = [f"dst_imgs/{kind}/{file}" for kind, file in zip(kinds, files, strict=True)]
        folder.mkdir(parents=True, exist_ok=True)
        book = openpyxl.Workbook()
        book.active.title = "all_by_distortion"
        sheet = book.create_sheet("all_by_image")
        sheet["D2"] = "CSIQ"
        header = ["image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos"]
        for column, name in enumerate(header, start=4):
            sheet.cell(4, column, name)
        for row, (reference, kind, level) in enumerate(rows):
            image = int(reference) if reference.isdigit() else reference
            for column, value in enumerate([image, 1, kind, level, 0.1, row / 1000], start=4):
                sheet.cell(5 + row, column, value)
        book.save(folder / "csiq.DMOS.xlsx")
    touch(folder, names)
    return names


def tid2013(folder: Path) -> list[str]:
    """Two references, three distortions, one level; as published, not all of one case."""
    listed = [f"{i}{r:02}_{d:02}_1.bmp" for i, r in (("I", 1), ("i", 25)) for d in (1, 8, 24)]
    write(
        folder / "mos_with_names.txt",
        "".join(f"{5 + row / 8:.5f} {name}\n" for row, name in enumerate(listed)),
    )
    names = [f"distorted_images/{name.lower()}" for name in listed]
    touch(folder, names)
    return names


def kadid(folder: Path) -> list[str]:
    """Two references, two distortions, one level, and the references among the images."""
    listed = [f"I{r:02}_{d:02}_01.png" for r in (1, 81) for d in (1, 25)]
    lines = [f"{name},{name[:3]}.png,{1 + row},0.5\n" for row, name in enumerate(listed)]
    write(folder / "dmos.csv", "dist_img,ref_img,dmos,var\n" + "".join(lines))
    names = [f"images/{name}" for name in listed]
    touch(folder, [*names, "images/I01.png", "images/I81.png"])
    return names


def livec(folder: Path) -> list[str]:
    """Three images after the seven that trained the observers."""
    listed = [f"t{i}.bmp" for i in range(1, 8)] + ["3.bmp", "4.JPG", "5.bmp"]
    (folder / "Data").mkdir(parents=True)
    cells = strings(listed)[:, None]
    scipy.io.savemat(folder / "Data/AllImages_release.mat", {"AllImages_release": cells})
    for name, values in (("AllMOS", np.arange(10) * 10.0), ("AllStdDev", np.ones(10))):
        scipy.io.savemat(folder / f"Data/{name}_release.mat", {f"{name}_release": values})
    names = [f"Images/{name}" for name in listed[7:]]
    touch(folder, names)
    return names


def koniq(
    folder: Path, *, scores: bool = True, sets: bool = True, size: str = "1024x768"
) -> list[str]:
    """Four images: two to learn, one to choose on, one to test."""
    listed = ["10.jpg", "11.jpg", "12.jpg", "13.jpg"]
    counts = "0,0,0.2,0.7,0.1,105"
    if scores:
        header = '"image_name","c1","c2","c3","c4","c5","c_total","MOS","SD","MOS_zscore"\n'
        lines = [
            f'"{name}",{counts},{row + 1},0.5,{row + 70}.5\n' for row, name in enumerate(listed)
        ]
        write(folder / "koniq10k_scores_and_distributions.csv", header + "".join(lines))
    if sets:
        parts = ["training", "validation", "test", "training"]
        lines = [
            f"{name},{counts},{row + 40}.5,0.5,{part}\n"
            for row, (name, part) in enumerate(zip(listed, parts, strict=True))
        ]
        header = "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set\n"
        # In another order than the scores, which nothing promises.
        write(folder / "koniq10k_distributions_sets.csv", header + "".join(reversed(lines)))
    names = [f"{size}/{name}" for name in listed]
    touch(folder, names)
    return names


def spaq(folder: Path) -> list[str]:
    """Three images."""
    (folder / "Annotations").mkdir(parents=True)
    book = openpyxl.Workbook()
    attributes = ["Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness"]
    book.active.append(["Image name", "MOS", *attributes])
    for i in range(1, 4):
        book.active.append([f"{i:05}.jpg", 20.5 * i, *[50] * 5])
    book.save(folder / "Annotations/MOS and Image attribute scores.xlsx")
    names = [f"TestImage/{i:05}.jpg" for i in range(1, 4)]
    touch(folder, names)
    return names


def biq2021(folder: Path) -> list[str]:
    """Three images to learn and one to test; one on disk is a .JPG, as in the published copy."""
    write(
        folder / "Train (Images and MOS).csv",
        "Image Name,MOS,,\nss03 (3753).jpg,0.8471,,\nss01 (1726).jpg,0.2874,,\n"
        "ss02 (167).jpg,0.3522,,\n",
    )
    write(folder / "Test (Images and MOS).csv", "Image Name,MOS\nss03 (793).jpg,0.0000\n")
    listed = ["ss03 (3753).jpg", "ss01 (1726).JPG", "ss02 (167).jpg", "ss03 (793).jpg"]
    names = [f"Images/{name}" for name in listed]
    touch(folder, names)
    return names
