"""`lifeiqa monotonicity`, on a model whose score is the mean of a crop's samples."""

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
    for grey in (60, 100):
        tiny.write_image(tmp_path / "images" / f"{grey}.png", grey)
    return tmp_path / "images"


def run(model, images, *arguments, command="monotonicity"):
    arguments = [
        command,
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
    result = run(model, images, "--kinds", "darken,brighten")

    headline, _, darken, brighten, together, _, first, _ = result.stdout.splitlines()
    assert headline.startswith("tiny: monotonic in 2 of 4 series of an image and a distortion")
    # The two greys lie so far apart that a darkened 100 is lighter than a milder 60: SROCC below 1.
    assert darken.split()[:5] == ["darken", "1.000", "1.000", "0.840", "80.0000"]
    assert brighten.split()[:3] == ["brighten", "0.000", "0.000"]
    assert together.split()[:3] == ["all", "0.500", "0.500"]
    assert first.split()[-2:] == ["brighten", "100.png"]
    assert result.stderr.splitlines() == [
        f"1 of 2: {images / '100.png'}",
        f"2 of 2: {images / '60.png'}",
    ]
    assert result.exit_code == 0


def test_the_25_kinds_are_measured_unless_others_are_named(model, images):
    result = run(model, images, "--json", "--crops", "center", "--exclude", "jitter,denoise")

    record = json.loads(result.stdout)
    assert len(record["kinds"]) == 23
    assert not {"jitter", "denoise", "haze"} & set(record["kinds"])
    assert record["series"] == 2 * 21
    assert record["short_side"] == 384
    assert record["model"] == "tiny"
    assert result.exit_code == 0


def test_the_seed_draws_other_random_fields(model, images):
    first, again, other = (
        json.loads(run(model, images, "--json", "--kinds", "white_noise", "--seed", seed).stdout)
        for seed in (0, 0, 1)
    )

    assert first == again
    assert first["kinds"] != other["kinds"]
    assert other["seed"] == 1


def test_images_keep_their_size_when_asked(model, images):
    result = run(model, images, "--json", "--kinds", "darken", "--short-side", 0)

    assert json.loads(result.stdout)["short_side"] is None


def test_the_former_name_still_works_and_is_not_listed(model, images):
    result = run(model, images, "--kinds", "darken", command="sense")

    assert result.stdout == run(model, images, "--kinds", "darken").stdout
    listed = CliRunner().invoke(main, ["--help"]).stdout
    assert "monotonicity" in listed
    assert "sense" not in listed


@pytest.mark.parametrize(("share", "status"), [(0.5, 0), (0.51, 1)])
def test_a_share_below_what_is_asked_for_is_a_failed_check(model, images, share, status):
    result = run(model, images, "--kinds", "darken,brighten", "--at-least", share)

    assert result.exit_code == status
    assert ("monotone share 0.5000 is below 0.51" in result.stderr) == bool(status)
    assert "darken" in result.stdout


def test_no_series_at_all_is_a_failed_check(model, images):
    result = run(model, images, "--kinds", "mean_shift", "--at-least", 0)

    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--kinds", "blur,fog"], "kinds blur, fog: name one or more of gaussian_blur"),
        (["--kinds", ""], "kinds"),
        (["--exclude", "fog"], "--exclude fog: not among what is measured (gaussian_blur, "),
        (["--kinds", "darken", "--exclude", "jpeg"], "--exclude jpeg: not among"),
        (["--kinds", "darken", "--exclude", "darken"], "(none)"),
        (["--at-least", "2"], "2"),
        (["--seed", "-1"], "-1"),
        (["--short-side", "-1"], "-1"),
        (["--crops", "six"], "crop plan 'six'"),
    ],
)
def test_bad_input_is_told_on_standard_error_alone(model, images, option, message):
    result = run(model, images, *option)

    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 2


def test_a_folder_without_images_is_bad_input(model, tmp_path):
    (tmp_path / "empty").mkdir()

    result = run(model, tmp_path / "empty")

    assert "no image in this folder" in result.stderr
    assert result.exit_code == 2
