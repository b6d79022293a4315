import json

import pytest
from click.testing import CliRunner

from helpers import tiny
from lifeiqa.artifacts.manifest import Manifest, read_manifest, sidecar_of
from lifeiqa.cli import main
from lifeiqa.files import sha256_of


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


@pytest.fixture
def images(tmp_path):
    for grey in (10, 90, 200):
        tiny.write_image(tmp_path / "images" / f"{grey}.png", grey)
    return tmp_path / "images"


@pytest.fixture
def labels(tmp_path, images):
    """Human scores in units of 0..255: 0, 3 and 6 from the three images, in their order."""
    path = tmp_path / "labels.csv"
    path.write_text("path,MOS\n200.png,206\n10.png,10\n90.png,87\n")
    return path


def lifeiqa(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_inspect_describes_a_model(model):
    result = lifeiqa("inspect", model)

    assert "tiny (onnx, fp32)" in result.stdout
    assert read_manifest(model).sha256 in result.stdout
    assert result.exit_code == 0


def test_inspect_gives_the_whole_manifest_to_machines(model):
    result = lifeiqa("inspect", "--json", model)

    assert Manifest.from_json(result.stdout, origin="here") == read_manifest(model)
    assert result.exit_code == 0


def test_inspect_refuses_a_file_that_was_replaced(model):
    model.write_bytes(model.read_bytes() + b"\0")

    result = lifeiqa("inspect", model)

    assert result.stderr.startswith(f"ArtifactError: {model}: its sha256 is")
    assert result.stdout == ""
    assert result.exit_code == 2


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_inspect_says_of_a_file_that_was_replaced_that_it_is_not_verified(model, flags):
    assert "verified" not in lifeiqa("inspect", model, "--no-verify", *flags).stdout
    model.write_bytes(tiny.model(gain=2).SerializeToString())

    result = lifeiqa("inspect", model, "--no-verify", *flags)

    assert ('"verified": false' if flags else "tiny (onnx, fp32), not verified") in result.stdout
    assert sha256_of(model) in result.stdout
    assert result.exit_code == 0


def test_inspect_leaves_no_engine_unverified(tmp_path):
    path = tmp_path / "tiny.engine"
    path.write_bytes(b"plan")

    result = lifeiqa("inspect", path, "--no-verify")

    assert "an engine is code that runs" in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize("command", ["inspect", "compare", "evaluate"])
def test_an_unknown_model_is_bad_input(command, model, images, labels):
    arguments = {
        "inspect": ["nonesuch"],
        "compare": [model, "nonesuch", "--images", images],
        "evaluate": ["nonesuch", labels, "--images", images],
    }[command]

    result = lifeiqa(command, *arguments)

    assert "nonesuch: neither a file nor a bundled model" in result.stderr
    assert result.exit_code == 2


def test_a_model_equals_itself(model, images):
    result = lifeiqa("compare", model, model, "--images", images)

    assert "parity on 3 crops" in result.stdout
    assert "tiny.onnx -> tiny.onnx" in result.stdout
    assert "FAILED" not in result.stdout
    assert result.exit_code == 0


def test_one_model_is_compared_in_two_runtimes(model, images):
    runs = ["--runtime-a", "onnxruntime", "--device-a", "cpu", "--runtime-b", "openvino"]
    result = lifeiqa("compare", model, model, "--images", images, *runs)

    assert "from ONNX Runtime" in result.stdout
    assert "OpenVINO" in result.stdout
    assert result.exit_code == 0


def test_a_changed_model_fails_the_check(model, images, tmp_path):
    changed = tiny.write_model(tmp_path / "changed.onnx", gain=0.9)

    result = lifeiqa("compare", model, changed, "--images", images)

    assert "FAILED  tiny.onnx -> changed.onnx: drift 7.84e-02" in result.stdout
    assert result.exit_code == 1


def test_a_wider_tolerance_lets_a_changed_model_pass(model, images, tmp_path):
    changed = tiny.write_model(tmp_path / "changed.onnx", gain=0.9)

    result = lifeiqa("compare", model, changed, "--images", images, "--tolerance", "fp32=0.1")

    assert result.exit_code == 0


def test_a_comparison_for_machines_is_a_list_of_links(model, images, tmp_path):
    changed = tiny.write_model(tmp_path / "changed.onnx", gain=0.9)

    result = lifeiqa("compare", model, changed, "--images", images, "--json")

    (link,) = json.loads(result.stdout)
    assert link["n"] == 3
    assert link["max_drift"] == pytest.approx(20 / 255, rel=1e-5)
    assert result.exit_code == 1


def test_models_of_different_labels_cannot_be_compared(model, images, tmp_path):
    labels = tiny.manifest().labels
    other = tiny.write_model(
        tmp_path / "other.onnx", labels=type(labels)(dataset="x", low=0, high=1)
    )

    result = lifeiqa("compare", model, other, "--images", images)

    assert "differ in labels" in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize("folder", ["lost", "empty"])
def test_a_comparison_needs_images(model, tmp_path, folder):
    (tmp_path / "empty").mkdir()

    result = lifeiqa("compare", model, model, "--images", tmp_path / folder)

    assert "no image in this folder" in result.stderr
    assert result.exit_code == 2


def test_a_manifest_that_cannot_be_read_is_bad_input(model):
    sidecar_of(model).write_text("{")

    result = lifeiqa("inspect", model)

    assert result.stderr.startswith(f"ArtifactError: {sidecar_of(model)}: the manifest cannot be")
    assert result.exit_code == 2
