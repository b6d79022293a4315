"""Each published layout is read as it is."""

import shutil
from collections import Counter

import openpyxl
import pytest
import scipy.io

from helpers import trees
from helpers.copies import SMALL, build, every_dataset, refusal, replace_in
from lifeiqa.data.datasets import DATASETS, read_dataset


@every_dataset
def test_a_copy_gives_each_image_in_the_order_of_its_labels(name, tmp_path):
    names = build(name, tmp_path)

    table = SMALL[name].read(tmp_path)

    assert [path.relative_to(tmp_path).as_posix() for path in table.paths] == names
    assert all(path.is_file() for path in table.paths)
    assert table.labels == DATASETS[name].labels
    assert table.name == table.labels.dataset
    assert len(table.scores) == len(table)
    assert all(table.labels.low <= score <= table.labels.high for score in table.scores)


@pytest.mark.parametrize(
    ("name", "images", "low", "high", "direction"),
    [
        ("live", 779, 0, 100, "lower"),
        ("csiq", 866, 0, 1, "lower"),
        ("tid2013", 3000, 0, 9, "higher"),
        ("kadid", 10125, 1, 5, "higher"),
        ("livec", 1162, 0, 100, "higher"),
        ("koniq", 10073, 0, 100, "higher"),
        ("spaq", 11125, 0, 100, "higher"),
        ("biq2021", 12000, 0, 1, "higher"),
    ],
)
def test_the_published_figures_are_these(name, images, low, high, direction):
    dataset = DATASETS[name]

    assert dataset.count == images
    assert (dataset.labels.low, dataset.labels.high) == (low, high)
    assert dataset.labels.direction == direction
    assert sum(dataset.parts.values()) in (0, images)


def test_live_takes_the_realigned_scores_and_drops_the_copies_of_references(tmp_path):
    trees.live(tmp_path)

    table = read_dataset("live", tmp_path)

    assert Counter(table.distortions) == {
        "jp2k": 169,
        "jpeg": 175,
        "wn": 145,
        "gblur": 145,
        "fastfading": 145,
    }
    # Row 227, the first after jp2k and its 58 copies, is jpeg/img1.bmp.
    assert table.paths[169].relative_to(tmp_path).as_posix() == "jpeg/img1.bmp"
    assert table.scores[169] == pytest.approx(22.7)
    assert table.references[169] == f"ref{227 % 29}.bmp"


def test_live_without_the_realigned_file_has_the_original_scores(tmp_path):
    trees.live(tmp_path, realigned=False)

    assert read_dataset("live", tmp_path).scores[0] == 1.0


@pytest.mark.parametrize("flat", [False, True])
def test_csiq_has_two_forms_of_the_same_labels(tmp_path, flat):
    trees.csiq(tmp_path, flat=flat)

    table = read_dataset("csiq", tmp_path)

    assert Counter(table.distortions) == {
        "AWGN": 150,
        "JPEG": 150,
        "jpeg2000": 150,
        "fnoise": 150,
        "BLUR": 150,
        "contrast": 116,
    }
    assert len(set(table.references)) == 30
    assert (table.references[0], table.scores[3]) == ("1600", 0.003)


def test_csiq_refuses_a_type_that_it_does_not_know(tmp_path):
    trees.csiq(tmp_path)
    book = openpyxl.load_workbook(tmp_path / "csiq.DMOS.xlsx")
    book["all_by_image"]["F5"] = "webp"
    book.save(tmp_path / "csiq.DMOS.xlsx")

    assert "csiq.DMOS.xlsx, row 5: type 'webp' and level 1" in refusal(SMALL["csiq"], tmp_path)


def test_csiq_refuses_a_workbook_without_its_sheet(tmp_path):
    trees.csiq(tmp_path)
    book = openpyxl.load_workbook(tmp_path / "csiq.DMOS.xlsx")
    del book["all_by_image"]
    book.save(tmp_path / "csiq.DMOS.xlsx")

    message = refusal(SMALL["csiq"], tmp_path)

    assert "a sheet all_by_image is expected; it has all_by_distortion" in message


def test_csiq_refuses_a_name_of_another_form(tmp_path):
    trees.csiq(tmp_path, flat=True)
    replace_in(tmp_path / "csiq_label.txt", "1600.AWGN.2.png", "1600_AWGN_2.png")

    assert "csiq_label.txt, line 2: '1600_AWGN_2.png'" in refusal(SMALL["csiq"], tmp_path)


def test_tid2013_names_tell_the_reference_and_the_distortion(tmp_path):
    trees.tid2013(tmp_path)

    table = SMALL["tid2013"].read(tmp_path)

    assert table.references == ("I01",) * 3 + ("I25",) * 3
    assert (
        table.distortions
        == (
            "additive Gaussian noise",
            "Gaussian blur",
            "sparse sampling",
        )
        * 2
    )
    assert table.scores == (5.0, 5.125, 5.25, 5.375, 5.5, 5.625)


@pytest.mark.parametrize("name", ["I01_25_1.bmp", "I01_00_1.bmp", "I01_1.bmp", "image.bmp"])
def test_tid2013_refuses_a_name_of_another_form(tmp_path, name):
    trees.tid2013(tmp_path)
    replace_in(tmp_path / "mos_with_names.txt", "I01_08_1.bmp", name)

    assert f"mos_with_names.txt, line 2: {name!r}" in refusal(SMALL["tid2013"], tmp_path)


def test_tid2013_refuses_a_line_of_other_words(tmp_path):
    trees.tid2013(tmp_path)
    replace_in(tmp_path / "mos_with_names.txt", "5.12500 I", "5.12500 0.1 I")

    message = refusal(SMALL["tid2013"], tmp_path)

    assert "line 2: '5.12500 0.1 I01_08_1.bmp': a score and a name expected" in message


def test_kadid_does_not_take_references_for_images(tmp_path):
    trees.kadid(tmp_path)

    table = SMALL["kadid"].read(tmp_path)

    assert table.references == ("I01", "I01", "I81", "I81")
    assert table.distortions == ("Gaussian blur", "contrast change") * 2
    assert table.scores == (1.0, 2.0, 3.0, 4.0)


def test_livec_drops_the_images_that_trained_the_observers(tmp_path):
    trees.livec(tmp_path)

    table = SMALL["livec"].read(tmp_path)

    assert [path.name for path in table.paths] == ["3.bmp", "4.JPG", "5.bmp"]
    assert table.scores == (70.0, 80.0, 90.0)


def test_livec_refuses_scores_and_names_of_two_lengths(tmp_path):
    trees.livec(tmp_path)
    path = tmp_path / "Data/AllMOS_release.mat"
    scipy.io.savemat(path, {"AllMOS_release": [1.0] * 9})

    assert f"{path}: 9 rows, 10 are expected" in refusal(SMALL["livec"], tmp_path)


def test_koniq_takes_the_z_scores_and_joins_the_official_split_by_name(tmp_path):
    trees.koniq(tmp_path)

    table = SMALL["koniq"].read(tmp_path)

    assert table.scores == (70.5, 71.5, 72.5, 73.5)
    assert table.parts == ("train", "val", "test", "train")


def test_koniq_has_no_split_without_the_file_of_the_sets(tmp_path):
    trees.koniq(tmp_path, sets=False)

    assert SMALL["koniq"].read(tmp_path).parts is None


def test_koniq_is_read_from_the_file_of_the_sets_alone(tmp_path):
    trees.koniq(tmp_path, scores=False, size="512x384")

    table = SMALL["koniq"].read(tmp_path)

    assert table.scores == (43.5, 42.5, 41.5, 40.5)
    assert table.parts == ("train", "test", "val", "train")
    assert table.paths[0] == tmp_path / "512x384" / "13.jpg"


def test_koniq_prefers_the_large_images(tmp_path):
    trees.koniq(tmp_path, size="512x384")
    trees.koniq(tmp_path)

    assert {path.parent.name for path in SMALL["koniq"].read(tmp_path).paths} == {"1024x768"}


def test_koniq_refuses_an_image_that_is_in_no_set(tmp_path):
    trees.koniq(tmp_path)
    replace_in(tmp_path / "koniq10k_distributions_sets.csv", "11.jpg", "99.jpg")

    assert "1 of 4 images are in no set, first 11.jpg" in refusal(SMALL["koniq"], tmp_path)


def test_koniq_refuses_a_set_that_it_does_not_know(tmp_path):
    trees.koniq(tmp_path)
    replace_in(tmp_path / "koniq10k_distributions_sets.csv", "validation", "holdout")

    assert "the part of the split is 'holdout'" in refusal(SMALL["koniq"], tmp_path)


def test_the_parts_of_an_official_split_are_counted(tmp_path):
    trees.koniq(tmp_path)
    replace_in(tmp_path / "koniq10k_distributions_sets.csv", "validation", "training")

    message = refusal(SMALL["koniq"], tmp_path)

    assert "3 images in the train part, 2 are expected" in message


def test_biq2021_has_two_lists_for_its_two_parts(tmp_path):
    trees.biq2021(tmp_path)

    table = SMALL["biq2021"].read(tmp_path)

    assert table.parts == ("train", "train", "train", "test")
    assert table.scores == (0.8471, 0.2874, 0.3522, 0.0)
    assert table.paths[1].name == "ss01 (1726).JPG"


@every_dataset
def test_a_copy_of_other_cases_is_the_same_copy(name, tmp_path):
    build(name, tmp_path / "published")
    for path in sorted((tmp_path / "published").rglob("*")):
        if path.is_file():
            moved = tmp_path / "shouted" / str(path.relative_to(tmp_path / "published")).upper()
            moved.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, moved)

    published, shouted = (SMALL[name].read(tmp_path / kind) for kind in ("published", "shouted"))

    assert shouted.scores == published.scores
    assert (shouted.references, shouted.parts) == (published.references, published.parts)
    assert [path.name for path in shouted.paths] == [path.name.upper() for path in published.paths]
