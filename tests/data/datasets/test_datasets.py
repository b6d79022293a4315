import dataclasses
import shutil
from collections import Counter

import openpyxl
import pytest
import scipy.io

import trees
from lifeiqa.data.datasets import DATASETS, Dataset, read_dataset
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


@every_dataset
def test_a_copy_gives_each_picture_in_the_order_of_its_labels(name, tmp_path):
    names = build(name, tmp_path)

    table = SMALL[name].read(tmp_path)

    assert [path.relative_to(tmp_path).as_posix() for path in table.paths] == names
    assert all(path.is_file() for path in table.paths)
    assert table.labels == DATASETS[name].labels
    assert table.name == table.labels.dataset
    assert len(table.scores) == len(table)
    assert all(table.labels.low <= score <= table.labels.high for score in table.scores)


@pytest.mark.parametrize(
    ("name", "pictures", "low", "high", "direction"),
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
def test_the_published_figures_are_these(name, pictures, low, high, direction):
    dataset = DATASETS[name]

    assert dataset.count == pictures
    assert (dataset.labels.low, dataset.labels.high) == (low, high)
    assert dataset.labels.direction == direction
    assert sum(dataset.parts.values()) in (0, pictures)


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


@pytest.mark.parametrize("name", ["I01_25_1.bmp", "I01_00_1.bmp", "I01_1.bmp", "picture.bmp"])
def test_tid2013_refuses_a_name_of_another_form(tmp_path, name):
    trees.tid2013(tmp_path)
    replace_in(tmp_path / "mos_with_names.txt", "I01_08_1.bmp", name)

    assert f"mos_with_names.txt, line 2: {name!r}" in refusal(SMALL["tid2013"], tmp_path)


def test_tid2013_refuses_a_line_of_other_words(tmp_path):
    trees.tid2013(tmp_path)
    replace_in(tmp_path / "mos_with_names.txt", "5.12500 I", "5.12500 0.1 I")

    message = refusal(SMALL["tid2013"], tmp_path)

    assert "line 2: '5.12500 0.1 I01_08_1.bmp': a score and a name expected" in message


def test_kadid_does_not_take_references_for_pictures(tmp_path):
    trees.kadid(tmp_path)

    table = SMALL["kadid"].read(tmp_path)

    assert table.references == ("I01", "I01", "I81", "I81")
    assert table.distortions == ("Gaussian blur", "contrast change") * 2
    assert table.scores == (1.0, 2.0, 3.0, 4.0)


def test_livec_drops_the_pictures_that_trained_the_observers(tmp_path):
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


def test_koniq_prefers_the_large_pictures(tmp_path):
    trees.koniq(tmp_path, size="512x384")
    trees.koniq(tmp_path)

    assert {path.parent.name for path in SMALL["koniq"].read(tmp_path).paths} == {"1024x768"}


def test_koniq_refuses_a_picture_that_is_in_no_set(tmp_path):
    trees.koniq(tmp_path)
    replace_in(tmp_path / "koniq10k_distributions_sets.csv", "11.jpg", "99.jpg")

    assert "1 of 4 pictures are in no set, first 11.jpg" in refusal(SMALL["koniq"], tmp_path)


def test_koniq_refuses_a_set_that_it_does_not_know(tmp_path):
    trees.koniq(tmp_path)
    replace_in(tmp_path / "koniq10k_distributions_sets.csv", "validation", "holdout")

    assert "the part of the split is 'holdout'" in refusal(SMALL["koniq"], tmp_path)


def test_the_parts_of_an_official_split_are_counted(tmp_path):
    trees.koniq(tmp_path)
    replace_in(tmp_path / "koniq10k_distributions_sets.csv", "validation", "training")

    message = refusal(SMALL["koniq"], tmp_path)

    assert "3 pictures in the train part, 2 are expected" in message


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
def test_missing_pictures_are_counted_and_the_first_is_named(name, tmp_path):
    names = build(name, tmp_path)
    for lost in (names[1], names[2]):
        (tmp_path / lost).unlink()

    message = refusal(SMALL[name], tmp_path)

    assert f"2 of {SMALL[name].count} pictures are missing" in message
    assert names[1].rpartition("/")[2].lower() in message.lower()


def test_a_folder_is_no_picture(tmp_path):
    names = trees.kadid(tmp_path)
    (tmp_path / names[0]).unlink()
    (tmp_path / names[0]).mkdir()

    assert "1 of 4 pictures are missing" in refusal(SMALL["kadid"], tmp_path)


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "live"])
def test_a_row_too_few_is_told_with_the_number_that_is_expected(name, tmp_path):
    build(name, tmp_path)
    one_more = dataclasses.replace(SMALL[name], count=SMALL[name].count + 1)

    message = refusal(one_more, tmp_path)

    assert f"{SMALL[name].count} pictures, {one_more.count} are expected" in message
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


def test_a_picture_that_is_listed_twice_is_refused(tmp_path):
    trees.tid2013(tmp_path)
    replace_in(tmp_path / "mos_with_names.txt", "I01_08_1.bmp", "i01_01_1.BMP")

    message = refusal(SMALL["tid2013"], tmp_path)

    assert "is listed twice, in rows 1 and 2" in message


def test_a_name_that_leads_out_of_the_folder_is_no_picture(tmp_path):
    trees.koniq(tmp_path, sets=False)
    (tmp_path / "secret.jpg").touch()
    replace_in(tmp_path / LABEL_FILES["koniq"][0], "10.jpg", "../secret.jpg")

    assert "pictures are missing, first ../secret.jpg" in refusal(SMALL["koniq"], tmp_path)


def test_an_unknown_data_set_is_told_the_known_ones(tmp_path):
    with pytest.raises(DatasetError, match=r"'ava' is not .* one of live, csiq"):
        read_dataset("ava", tmp_path)
