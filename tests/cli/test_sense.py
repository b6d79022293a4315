"""`lifeiqa sense`, on a model whose score is the mean of a crop's samples."""

import json

import pytest
from click.testing import CliRunner

from helpers import tiny
from lifeiqa.cli import main


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


@pytest.fixture
def images(tmp_path):
    """Below middle grey, so that a loss of contrast makes them lighter."""
    for grey in (60, 100):
        tiny.write_image(tmp_path / "images" / f"{grey}.png", grey)
    return tmp_path / "images"


def sense(model, images, *arguments):
    arguments = [
        "sense",
        model,
        "--images",
        images,
        "--runtime",
        "onnxruntime",
        "--device",
        "cpu",
        *arguments,
    ]
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_table_is_printed_and_progress_goes_elsewhere(model, images):
    result = sense(model, images, "--kinds", "darken,contrast")

    headline, _, darken, contrast, together = result.stdout.splitlines()
    assert headline.startswith("tiny: 2 of 4 pairs of 2 images with 2 distortions")
    assert darken.split()[:4] == ["darken", "1.000", "1.000", "80.0000"]
    assert contrast.split()[:4] == ["contrast", "0.000", "0.000", "80.0000"]
    assert together.split() == ["all", "0.500", "0.500"]
    assert result.stderr.splitlines() == [
        f"1 of 2: {images / '100.png'}",
        f"2 of 2: {images / '60.png'}",
    ]
    assert result.exit_code == 0


def test_the_six_kinds_are_measured_unless_others_are_named(model, images):
    result = sense(model, images, "--json", "--crops", "center")

    record = json.loads(result.stdout)
    assert list(record["kinds"]) == ["blur", "noise", "jpeg", "jpeg2000", "contrast", "colour"]
    assert record["pairs"] == 12
    assert record["model"] == "tiny"
    assert result.exit_code == 0


def test_the_seed_draws_other_noise(model, images):
    first, again, other = (
        json.loads(sense(model, images, "--json", "--kinds", "noise", "--seed", seed).stdout)
        for seed in (0, 0, 1)
    )

    assert first == again
    assert first["kinds"] != other["kinds"]
    assert other["seed"] == 1


@pytest.mark.parametrize(("share", "status"), [(0.5, 0), (0.51, 1)])
def test_a_share_below_what_is_asked_for_is_a_failed_check(model, images, share, status):
    result = sense(model, images, "--kinds", "darken,contrast", "--at-least", share)

    assert result.exit_code == status
    assert ("monotone share 0.5000 is below 0.51" in result.stderr) == bool(status)
    assert "darken" in result.stdout


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--kinds", "blur,fog"], "kinds blur, fog: name one or more of blur, noise"),
        (["--kinds", ""], "kinds"),
        (["--at-least", "2"], "2"),
        (["--seed", "-1"], "-1"),
        (["--crops", "six"], "crop plan 'six'"),
    ],
)
def test_bad_input_is_told_on_standard_error_alone(model, images, option, message):
    result = sense(model, images, *option)

    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 2


def test_a_folder_without_images_is_bad_input(model, tmp_path):
    (tmp_path / "empty").mkdir()

    result = sense(model, tmp_path / "empty")

    assert "no image in this folder" in result.stderr
    assert result.exit_code == 2
