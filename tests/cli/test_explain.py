"""`lifeiqa explain`, with the bundled checkpoint."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from skimage import data as photographs

from helpers import tiny
from lifeiqa.cli import main
from lifeiqa.scorer import Scorer
from lifeiqa.weights import bundled


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "coffee.jpg"
    Image.fromarray(photographs.coffee()).save(path)
    return path


def explain(*arguments):
    return CliRunner().invoke(main, ["explain", *(str(argument) for argument in arguments)])


def test_a_figure_is_written_and_the_score_is_that_of_lifeiqa_score(photo, tmp_path):
    out = tmp_path / "figures" / "coffee.png"

    result = explain(photo, "-o", out)

    with Scorer(bundled(suffix=".safetensors")) as scorer:
        expected = scorer.score(photo)
    assert result.stdout == (
        f"wrote {out}: score {expected.value:.4f}, crops {len(expected.crops)}\n"
    )
    assert result.exit_code == 0
    with Image.open(out) as figure:
        assert figure.format == "PNG"
        assert np.asarray(figure.convert("RGB")).std() > 10


def test_without_a_name_the_figure_lies_here_under_the_photos(photo, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    result = explain(photo, "--crops", "center", "--layer", 1)

    assert result.exit_code == 0
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["coffee.explained.png"]


def test_the_record_for_machines_holds_what_was_drawn(photo, tmp_path):
    result = explain(photo, "--json", "--crops", "grid:2", "-o", tmp_path / "coffee.png")

    record = json.loads(result.stdout)
    assert record["model"] == "fast.safetensors"
    assert len(record["crops"]) == 4
    crop = record["crops"][0]
    assert np.mean(crop["token_scores"]) == pytest.approx(crop["score"], abs=1e-6)
    assert np.shape(crop["attention"]) == (2, 6, 6, 6)
    np.testing.assert_allclose(np.sum(crop["expert_weights"], axis=1), 1, rtol=1e-5)
    assert (tmp_path / "coffee.png").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "nonesuch"], "nonesuch: neither a file nor a bundled model"),
        (["--layer", "3"], "layer 3: the decoder has layers 1 to 2"),
        (["--layer", "0"], "0"),
        (["--crops", "six"], "crop plan 'six'"),
        (["-o", "figure.pdf"], "ends in .png"),
    ],
)
def test_bad_input_is_told_on_standard_error_and_nothing_is_written(
    photo, tmp_path, monkeypatch, options, message
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    result = explain(photo, *options)

    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 2
    assert list((tmp_path / "here").iterdir()) == []


def test_an_onnx_file_is_refused_with_the_reason(photo, tmp_path):
    model = tiny.write_model(tmp_path / "tiny.onnx")

    result = explain(photo, "--model", model)

    assert "does not output its attention" in result.stderr
    assert result.exit_code == 2


def test_what_is_no_image_is_named(tmp_path):
    path = tmp_path / "diary.png"
    path.write_text("dear diary")

    result = explain(path)

    assert "diary.png: not an image" in result.stderr
    assert result.exit_code == 2
