from pathlib import Path

import pytest

from lifeiqa.data.table import read_table
from lifeiqa.errors import DatasetError


def table(folder: Path, text: str, *, pictures: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    """A CSV and the files that it names; their contents are never read."""
    for name in pictures:
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
    path = table(tmp_path, "path,MOS\na.png,1\n", pictures=("pictures/a.png",))

    assert read_table(path, tmp_path / "pictures").paths == (tmp_path / "pictures" / "a.png",)


def test_absolute_paths_stay_as_they_are(tmp_path):
    path = table(tmp_path, f"path,MOS\n{tmp_path / 'a.png'},1\n")

    assert read_table(path, tmp_path / "elsewhere").paths == (tmp_path / "a.png",)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, newline):
    path = table(tmp_path, newline.join(["\ufeffpath,MOS", "a.png,1", ""]))

    assert read_table(path).scores == (1.0,)


def test_quoted_fields_may_hold_commas(tmp_path):
    path = table(tmp_path, 'path,MOS\n"a,b.png",1\n', pictures=("a,b.png",))

    assert read_table(path).paths == (tmp_path / "a,b.png",)


def test_missing_pictures_are_counted_and_the_first_is_named(tmp_path):
    path = table(tmp_path, "path,MOS\na.png,1\nlost.png,2\nb.png,3\ngone.png,4\n")

    message = refusal(path)

    assert "2 of 4 pictures are missing" in message
    assert str(tmp_path / "lost.png") in message
    assert "--images" in message


@pytest.mark.parametrize("row", ["1", "1,", "1,."])
def test_a_row_without_a_picture_is_a_missing_picture(tmp_path, row):
    path = table(tmp_path, f"MOS,path\n{row}\n")

    assert "1 of 1 pictures are missing" in refusal(path)


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
    message = refusal(table(tmp_path, "picture,rating\na.png,1\n"))

    assert "named image_name or image or path" in message
    assert "it has picture, rating" in message


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

    assert "cannot be read" in refusal(path)
