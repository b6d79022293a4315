"""Small copies of every data set in its published layout, and what reading them refuses."""

import dataclasses

import pytest

from helpers import trees
from lifeiqa.data.datasets import DATASETS, Dataset
from lifeiqa.errors import DatasetError

SMALL = {
    "live": DATASETS["live"],  # its folders have fixed sizes, so that a small copy is none
    "csiq": DATASETS["csiq"],
    "tid2013": dataclasses.replace(DATASETS["tid2013"], count=6),
    "kadid": dataclasses.replace(DATASETS["kadid"], count=4),
    "livec": dataclasses.replace(DATASETS["livec"], count=3),
    "koniq": dataclasses.replace(
        DATASETS["koniq"], count=4, parts={"train": 2, "val": 1, "test": 1}
    ),
    "spaq": dataclasses.replace(DATASETS["spaq"], count=3),
    "biq2021": dataclasses.replace(DATASETS["biq2021"], count=4, parts={"train": 3, "test": 1}),
}
LABEL_FILES = {
    "live": ["dmos_realigned.mat", "refnames_all.mat"],
    "csiq": ["csiq.DMOS.xlsx"],
    "tid2013": ["mos_with_names.txt"],
    "kadid": ["dmos.csv"],
    "livec": ["Data/AllImages_release.mat", "Data/AllMOS_release.mat"],
    "koniq": ["koniq10k_scores_and_distributions.csv", "koniq10k_distributions_sets.csv"],
    "spaq": ["Annotations/MOS and Image attribute scores.xlsx"],
    "biq2021": ["Train (Images and MOS).csv", "Test (Images and MOS).csv"],
}
EVERY_LABEL_FILE = [(name, file) for name, files in LABEL_FILES.items() for file in files]
every_dataset = pytest.mark.parametrize("name", DATASETS)
every_label_file = pytest.mark.parametrize(("name", "file"), EVERY_LABEL_FILE)


def build(name, folder, **options):
    return getattr(trees, name)(folder, **options)


def refusal(dataset: Dataset, folder) -> str:
    with pytest.raises(DatasetError) as caught:
        dataset.read(folder)
    message = str(caught.value)
    assert message.startswith(f"{dataset.title}: ")
    return message


def replace_in(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
