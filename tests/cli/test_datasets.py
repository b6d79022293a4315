import json

import pytest
from click.testing import CliRunner

from helpers import tiny, trees
from lifeiqa.cli import main
from lifeiqa.data.datasets import DATASETS


def datasets(*arguments):
    return CliRunner().invoke(main, ["datasets", *map(str, arguments)])


@pytest.fixture(scope="module")
def csiq(tmp_path_factory):
    """A copy of CSIQ of full size, of tiny images."""
    folder = tmp_path_factory.mktemp("csiq")
    names = trees.csiq(folder, flat=True)
    image = tiny.write_image(folder / "src_imgs" / "1600.png").read_bytes()
    for name in names:
        (folder / name).write_bytes(image)
    return folder


def test_the_list_has_every_data_set_with_its_layout():
    result = datasets("list")

    for name, dataset in DATASETS.items():
        assert f"{name:8} {dataset.count:6,} images" in result.stdout
        assert dataset.layout in result.stdout
    assert result.exit_code == 0


def test_the_list_is_json_when_asked():
    rows = json.loads(datasets("list", "--json").stdout)

    assert {row["name"]: row["images"] for row in rows} == {
        name: dataset.count for name, dataset in DATASETS.items()
    }


@pytest.mark.parametrize("name", ["csiq", "CSIQ"])
def test_a_complete_copy_passes(csiq, name):
    result = datasets("check", name, csiq)

    assert f"CSIQ in {csiq}: complete" in result.stdout
    assert "0 to 1, lower is better; found 0 to 0.865" in result.stdout
    assert "references   30" in result.stdout
    assert "JPEG 150" in result.stdout
    assert "opened       866 of 866" in result.stdout
    assert "opened 500 of 866" in result.stderr
    assert result.exit_code == 0


def test_a_check_is_json_when_asked(csiq):
    result = datasets("check", "csiq", csiq, "--decode", "--json")

    report = json.loads(result.stdout)
    assert (report["ok"], report["decoded"], report["images"]) == (True, True, 866)
    assert report["distortions"]["contrast"] == 116


def test_an_image_that_cannot_be_opened_fails_the_check(csiq):
    bad = csiq / "dst_imgs_all" / "1600.AWGN.1.png"
    good = bad.read_bytes()
    bad.write_text("dear diary")
    try:
        result = datasets("check", "csiq", csiq)
    finally:
        bad.write_bytes(good)

    assert f"{bad}: not an image" in result.stdout
    assert result.exit_code == 1


def test_a_layout_that_is_wrong_is_bad_input(tmp_path):
    result = datasets("check", "koniq", tmp_path)

    assert result.stderr.startswith("DatasetError: KonIQ-10k: ")
    assert "koniq10k_scores_and_distributions.csv" in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 2


def test_a_name_that_is_not_known_is_bad_input(tmp_path):
    result = datasets("check", "ava", tmp_path)

    assert "one of live, csiq, tid2013" in result.stderr
    assert result.exit_code == 2
