import dataclasses
from pathlib import Path

import pytest

from lifeiqa.data.table import Table, read_table
from lifeiqa.errors import DatasetError


def table(folder: Path, text: str, *, images: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    """A CSV and the files that it names; their contents are never read."""
    for name in images:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    path = folder / "labels.csv"
    path.write_bytes(text.encode())
    return path


def refusal(path: Path, images: Path | None = None, **columns: str) -> str:
    with pytest.raises(DatasetError) as caught:
        read_table(path, images, **columns)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "paths", ["image_name", "image", "path", "file", "filename", "dis_img_path", "dist_name"]
)
@pytest.mark.parametrize("scores", ["MOS", "mos", "score", "dmos"])
def test_columns_of_the_usual_names_are_found(tmp_path, paths, scores):
    path = table(tmp_path, f"{scores},other,{paths}\n1.5,x,a.png\n-2,y,b.png\n")

    read = read_table(path)

    assert read.paths == (tmp_path / "a.png", tmp_path / "b.png")
    assert read.scores == (1.5, -2.0)
    assert read.name == "labels"
    assert len(read) == 2


def test_named_columns_win_over_the_usual_ones(tmp_path):
    path = table(tmp_path, "path,MOS,crop,mean\nz.png,9,a.png,1\n")

    read = read_table(path, path_column="crop", score_column="mean")

    assert read.paths == (tmp_path / "a.png",)
    assert read.scores == (1.0,)


def test_paths_are_relative_to_the_folder_that_is_given(tmp_path):
    path = table(tmp_path, "path,MOS\na.png,1\n", images=("images/a.png",))

    assert read_table(path, tmp_path / "images").paths == (tmp_path / "images" / "a.png",)


def test_absolute_paths_stay_as_they_are(tmp_path):
    path = table(tmp_path, f"path,MOS\n{tmp_path / 'a.png'},1\n")

    assert read_table(path, tmp_path / "elsewhere").paths == (tmp_path / "a.png",)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, newline):
    path = table(tmp_path, newline.join(["\ufeffpath,MOS", "a.png,1", ""]))

    assert read_table(path).scores == (1.0,)


def test_quoted_fields_may_hold_commas(tmp_path):
    path = table(tmp_path, 'path,MOS\n"a,b.png",1\n', images=("a,b.png",))

    assert read_table(path).paths == (tmp_path / "a,b.png",)


def test_missing_images_are_counted_and_the_first_is_named(tmp_path):
    path = table(tmp_path, "path,MOS\na.png,1\nlost.png,2\nb.png,3\ngone.png,4\n")

    message = refusal(path)

    assert "2 of 4 images are missing" in message
    assert str(tmp_path / "lost.png") in message
    assert "--images" in message


@pytest.mark.parametrize("row", ["1", "1,", "1,."])
def test_a_row_without_an_image_is_a_missing_image(tmp_path, row):
    path = table(tmp_path, f"MOS,path\n{row}\n")

    assert "1 of 1 images are missing" in refusal(path)


@pytest.mark.parametrize("score", ["good", "nan", "inf", "-inf", "", "1;5"])
def test_a_score_that_is_no_number_is_refused_with_its_line(tmp_path, score):
    path = table(tmp_path, f"path,MOS\na.png,1\nb.png,{score}\n")

    message = refusal(path)

    assert "line 3" in message
    assert repr(score) in message


def test_a_short_row_has_no_score(tmp_path):
    assert "line 2: the score is None" in refusal(table(tmp_path, "path,MOS\na.png\n"))


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    path = table(tmp_path, 'path,MOS,note\na.png,1,"two\nlines"\n\n\nb.png,bad,\n')

    assert "line 6" in refusal(path)


@pytest.mark.parametrize(
    ("column", "what", "option"),
    [("path_column", "paths", "--path-column"), ("score_column", "scores", "--score-column")],
)
def test_a_named_column_that_is_missing_is_refused(tmp_path, column, what, option):
    path = table(tmp_path, "path,MOS\na.png,1\n")

    message = refusal(path, **{column: "rating"})

    assert f"no column of {what} named rating" in message
    assert "it has path, MOS" in message
    assert option in message


def test_unusual_columns_must_be_named(tmp_path):
    message = refusal(table(tmp_path, "photo,rating\na.png,1\n"))

    assert "named image_name or image or path" in message
    assert "it has photo, rating" in message


def test_a_table_without_rows_is_refused(tmp_path):
    assert "no row" in refusal(table(tmp_path, "path,MOS\n"))


def test_an_empty_file_has_no_header(tmp_path):
    assert "it has no header" in refusal(table(tmp_path, ""))


def test_a_first_row_of_data_is_shown_as_the_header_that_it_was_taken_for(tmp_path):
    assert "it has a.png, 1" in refusal(table(tmp_path, "a.png,1\nb.png,2\n"))


def test_a_table_that_is_not_there_is_refused(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "none.csv")


def test_a_table_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"path,MOS\ncaf\xe9.png,1\n")

    message = refusal(path)

    assert "cannot be read" in message
    assert "byte 12 is 0xe9, which is not UTF-8" in message


@pytest.mark.parametrize("column", ["ref_img_path", "ref_name", "ref_img", "reference"])
def test_a_column_of_references_is_read(tmp_path, column):
    path = table(tmp_path, f"path,MOS,{column}\na.png,1,I01.png\nb.png,2,I02.png\n")

    assert read_table(path).references == ("I01.png", "I02.png")


@pytest.mark.parametrize("column", ["dis_type", "distortion", "dist_type"])
def test_a_column_of_distortions_is_read_and_may_have_gaps(tmp_path, column):
    path = table(tmp_path, f"path,MOS,{column}\na.png,1,blur\nb.png,2,\n")

    assert read_table(path).distortions == ("blur", "")


@pytest.mark.parametrize("column", ["split", "set"])
@pytest.mark.parametrize(
    ("cell", "part"),
    [
        ("train", "train"),
        ("training", "train"),
        ("Training ", "train"),
        ("val", "val"),
        ("valid", "val"),
        ("validation", "val"),
        ("test", "test"),
    ],
)
def test_a_column_of_an_official_split_is_read(tmp_path, column, cell, part):
    path = table(tmp_path, f"path,MOS,{column}\na.png,1,{cell}\nb.png,2,test\n")

    assert read_table(path).parts == (part, "test")


@pytest.mark.parametrize("cell", ["holdout", "", "0"])
def test_a_part_that_is_not_known_is_refused_with_its_line(tmp_path, cell):
    path = table(tmp_path, f"path,MOS,split\na.png,1,train\nb.png,2,{cell}\n")

    message = refusal(path)

    assert "line 3" in message
    assert repr(cell) in message
    assert "validation" in message


def test_a_row_without_its_reference_is_refused_with_its_line(tmp_path):
    path = table(tmp_path, "path,MOS,ref_name\na.png,1,\n")

    assert "line 2: the row has no reference" in refusal(path)


def test_the_labels_of_the_public_collections_are_read(tmp_path):
    path = table(tmp_path, "ref_name,dist_name,mos,std,split\nr.png,a.png,3.5,0.1,test\n")

    read = read_table(path)

    assert read.paths == (tmp_path / "a.png",)
    assert (read.scores, read.references, read.parts) == ((3.5,), ("r.png",), ("test",))
    assert read.distortions is None


def test_a_table_of_paths_and_scores_has_no_other_columns(tmp_path):
    read = read_table(table(tmp_path, "path,MOS,set_name\na.png,1,x\n"))

    assert (read.references, read.distortions, read.parts) == (None, None, None)


@pytest.mark.parametrize("score", ["1", "2"])
def test_an_image_that_is_listed_twice_is_refused_whatever_its_score(tmp_path, score):
    path = table(tmp_path, f"path,MOS\na.png,1\nb.png,2\n./a.png,{score}\n")

    message = refusal(path)

    assert f"{tmp_path / 'a.png'} is listed twice, in rows 1 and 3" in message


@pytest.mark.parametrize(
    ("scores", "what"), [((1.0,), "1 images"), ((0.5,) * 3, "all 3 images is 0.5")]
)
def test_scores_that_rank_nothing_are_refused_where_they_are_to_be_learned(tmp_path, scores, what):
    names = [f"{row}.png" for row in range(len(scores))]
    rows = "".join(f"{name},{score}\n" for name, score in zip(names, scores, strict=True))
    read = read_table(table(tmp_path, f"path,MOS\n{rows}", images=names))

    with pytest.raises(DatasetError, match=what):
        read.require_spread()


def test_two_scores_are_spread(tmp_path):
    read_table(table(tmp_path, "path,MOS\na.png,1\nb.png,2\n")).require_spread()


def test_the_fingerprint_is_of_names_and_scores_wherever_the_files_lie(tmp_path):
    one = Table(name="a", paths=(Path("x/1.jpg"), Path("x/2.jpg")), scores=(1.0, 2.0))
    moved = Table(name="b", paths=(Path("y/1.jpg"), Path("y/2.jpg")), scores=(1.0, 2.0))
    assert one.sha256 == moved.sha256
    assert one.sha256 != one.take([1, 0]).sha256
    assert one.sha256 != dataclasses.replace(one, scores=(1.0, 2.5)).sha256
