"""A copy that is not whole is refused with what was expected of it."""

import dataclasses

import openpyxl
import pytest
import scipy.io

from helpers import trees
from helpers.copies import (
    EVERY_LABEL_FILE,
    LABEL_FILES,
    SMALL,
    build,
    every_dataset,
    every_label_file,
    refusal,
    replace_in,
)
from lifeiqa.data.datasets import DATASETS, read_dataset
from lifeiqa.errors import DatasetError


@every_dataset
def test_an_empty_folder_is_told_what_is_not_there(name, tmp_path):
    message = refusal(DATASETS[name], tmp_path)

    assert LABEL_FILES[name][0] in message
    assert "it holds nothing" in message


@every_dataset
def test_a_folder_that_is_not_there_is_refused(name, tmp_path):
    assert "lost is not a folder" in refusal(DATASETS[name], tmp_path / "lost")


@every_label_file
def test_a_label_file_that_is_missing_is_named(name, file, tmp_path):
    build(name, tmp_path, **({"realigned": False} if name == "live" else {}))
    file = "dmos.mat" if file == "dmos_realigned.mat" else file
    (tmp_path / file).unlink()
    if name == "koniq":  # either of the two is enough
        for other in LABEL_FILES[name]:
            (tmp_path / other).unlink(missing_ok=True)

    assert file in refusal(SMALL[name], tmp_path)


@every_label_file
def test_a_label_file_of_other_contents_is_named(name, file, tmp_path):
    build(name, tmp_path)
    (tmp_path / file).write_text("dear diary\n")

    assert str(tmp_path / file) in refusal(SMALL[name], tmp_path)


@every_label_file
def test_a_label_file_that_is_cut_short_is_named(name, file, tmp_path):
    build(name, tmp_path)
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) // 2])

    assert str(tmp_path / file) in refusal(SMALL[name], tmp_path)


@every_label_file
def test_an_empty_label_file_is_named(name, file, tmp_path):
    build(name, tmp_path)
    (tmp_path / file).write_bytes(b"")

    assert str(tmp_path / file) in refusal(SMALL[name], tmp_path)


@pytest.mark.parametrize(
    ("name", "file"), [row for row in EVERY_LABEL_FILE if row[1].endswith((".csv", ".txt"))]
)
def test_a_text_that_is_not_utf8_is_refused(name, file, tmp_path):
    build(name, tmp_path)
    with (tmp_path / file).open("ab") as stream:
        stream.write(b"caf\xe9.png\n")

    message = refusal(SMALL[name], tmp_path)

    assert str(tmp_path / file) in message
    assert "0xe9, which is not UTF-8" in message


@every_dataset
def test_missing_images_are_counted_and_the_first_is_named(name, tmp_path):
    names = build(name, tmp_path)
    for lost in (names[1], names[2]):
        (tmp_path / lost).unlink()

    message = refusal(SMALL[name], tmp_path)

    assert f"2 of {SMALL[name].count} images are missing" in message
    assert names[1].rpartition("/")[2].lower() in message.lower()


def test_a_folder_is_no_image(tmp_path):
    names = trees.kadid(tmp_path)
    (tmp_path / names[0]).unlink()
    (tmp_path / names[0]).mkdir()

    assert "1 of 4 images are missing" in refusal(SMALL["kadid"], tmp_path)


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "live"])
def test_a_row_too_few_is_told_with_the_number_that_is_expected(name, tmp_path):
    build(name, tmp_path)
    one_more = dataclasses.replace(SMALL[name], count=SMALL[name].count + 1)

    message = refusal(one_more, tmp_path)

    assert f"{SMALL[name].count} images, {one_more.count} are expected" in message
    assert any(str(tmp_path / file) in message for file in LABEL_FILES[name])


@pytest.mark.parametrize("variable", ["dmos_new", "orgs"])
def test_live_has_a_row_for_every_file(tmp_path, variable):
    trees.live(tmp_path)
    path = tmp_path / "dmos_realigned.mat"
    vectors = {name: scipy.io.loadmat(path)[name] for name in ("dmos_new", "orgs")}
    scipy.io.savemat(path, {**vectors, variable: vectors[variable][:, :-1]})

    assert f"{path}: 981 rows, 982 are expected" in refusal(SMALL["live"], tmp_path)


def test_a_variable_that_is_missing_is_named_beside_those_that_are_there(tmp_path):
    trees.live(tmp_path)
    scipy.io.savemat(tmp_path / "dmos_realigned.mat", {"dmos": [1.0], "orgs": [0]})

    message = refusal(SMALL["live"], tmp_path)

    assert "a variable dmos_new is expected; it has dmos, orgs" in message


@pytest.mark.parametrize("score", ["nan", "inf", "", "good"])
def test_a_score_that_is_no_number_is_refused_with_its_line(tmp_path, score):
    trees.kadid(tmp_path)
    replace_in(tmp_path / "dmos.csv", "I01.png,2,", f"I01.png,{score},")

    assert f"dmos.csv, line 3: the score is {score!r}" in refusal(SMALL["kadid"], tmp_path)


@pytest.mark.parametrize("score", [None, "#N/A"])
def test_a_cell_that_is_no_number_is_refused_with_its_row(tmp_path, score):
    trees.spaq(tmp_path)
    path = tmp_path / LABEL_FILES["spaq"][0]
    book = openpyxl.load_workbook(path)
    book.active["B3"] = score
    book.save(path)

    assert f"scores.xlsx, row 3: the score is {score!r}" in refusal(SMALL["spaq"], tmp_path)


def test_a_nan_of_matlab_is_refused_with_its_row(tmp_path):
    trees.livec(tmp_path)
    path = tmp_path / "Data/AllMOS_release.mat"
    scipy.io.savemat(path, {"AllMOS_release": [1.0] * 8 + [float("nan"), 1.0]})

    assert f"{path}, AllMOS_release(9): the score is nan" in refusal(SMALL["livec"], tmp_path)


def test_a_column_that_is_missing_is_named_beside_those_that_are_there(tmp_path):
    trees.kadid(tmp_path)
    replace_in(tmp_path / "dmos.csv", "dmos", "score")

    message = refusal(SMALL["kadid"], tmp_path)

    assert "the columns dist_img, dmos are expected; it has dist_img, ref_img, score" in message


def test_an_image_that_is_listed_twice_is_refused(tmp_path):
    trees.tid2013(tmp_path)
    replace_in(tmp_path / "mos_with_names.txt", "I01_08_1.bmp", "i01_01_1.BMP")

    message = refusal(SMALL["tid2013"], tmp_path)

    assert "is listed twice, in rows 1 and 2" in message


def test_a_name_that_leads_out_of_the_folder_is_no_image(tmp_path):
    trees.koniq(tmp_path, sets=False)
    (tmp_path / "secret.jpg").touch()
    replace_in(tmp_path / LABEL_FILES["koniq"][0], "10.jpg", "../secret.jpg")

    assert "images are missing, first ../secret.jpg" in refusal(SMALL["koniq"], tmp_path)


def test_an_unknown_data_set_is_told_the_known_ones(tmp_path):
    with pytest.raises(DatasetError, match=r"'ava' is not .* one of live, csiq"):
        read_dataset("ava", tmp_path)
