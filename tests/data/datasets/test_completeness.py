import dataclasses
import json

import pytest

from helpers import tiny, trees
from lifeiqa.data.datasets import DATASETS
from lifeiqa.data.datasets.completeness import check, overview
from lifeiqa.errors import DatasetError

KONIQ = dataclasses.replace(DATASETS["koniq"], count=4, parts={"train": 2, "val": 1, "test": 1})


@pytest.fixture
def copy(tmp_path):
    """A small copy of KonIQ-10k whose images can be read."""
    for name in trees.koniq(tmp_path):
        tiny.write_image(tmp_path / name)
    return tmp_path


def test_a_complete_copy_is_true_and_told_in_numbers(copy):
    report = check(KONIQ, copy)

    assert report
    text = str(report)
    assert f"KonIQ-10k in {copy}: complete" in text
    assert "0 to 100, higher is better; found 70.5 to 73.5" in text
    assert "train 2, val 1, test 1" in text
    assert "opened       4 of 4" in text


def test_references_and_distortions_are_counted(tmp_path):
    names = trees.kadid(tmp_path)
    for name in names:
        tiny.write_image(tmp_path / name)

    report = check(dataclasses.replace(DATASETS["kadid"], count=4), tmp_path)

    assert report.references == 2
    assert report.distortions == {"Gaussian blur": 2, "contrast change": 2}
    assert report.parts == {}


@pytest.mark.parametrize("whole", [False, True])
def test_a_file_that_is_no_image_is_named(copy, whole):
    bad = copy / "1024x768" / "12.jpg"
    bad.write_text("dear diary")

    report = check(KONIQ, copy, whole=whole)

    assert not report
    (error,) = report.unreadable
    assert error.startswith(f"{bad}: not an image")
    assert f"3 of 4\n  {error}" in str(report)


def test_an_image_that_ends_early_is_seen_by_decoding_alone(copy):
    cut = copy / "1024x768" / "12.jpg"
    cut.write_bytes(cut.read_bytes()[:60])

    assert check(KONIQ, copy)
    assert [str(cut) in error for error in check(KONIQ, copy, whole=True).unreadable] == [True]


def test_a_score_outside_the_range_is_told(copy):
    path = copy / "koniq10k_scores_and_distributions.csv"
    path.write_text(path.read_text().replace(",73.5", ",173.5"))

    report = check(KONIQ, copy)

    assert not report
    assert "found 70.5 to 173.5: OUTSIDE the range" in str(report)


def test_progress_ends_with_the_last_image(copy):
    lines: list[str] = []

    check(KONIQ, copy, whole=True, progress=lines.append)

    assert lines == ["decoded 4 of 4"]


def test_an_incomplete_copy_is_an_error(copy):
    with pytest.raises(DatasetError, match="4 images, 10,073 are expected"):
        check(DATASETS["koniq"], copy)


def test_a_report_and_the_overview_are_json(copy):
    report = json.loads(json.dumps(check(KONIQ, copy).to_dict()))

    assert report["ok"] is True
    assert report["labels"]["dataset"] == "KonIQ-10k"
    rows = json.loads(json.dumps(overview(DATASETS)))
    assert [row["name"] for row in rows] == list(DATASETS)
    assert rows[5]["parts"] == {"train": 7058, "val": 1000, "test": 2015}
