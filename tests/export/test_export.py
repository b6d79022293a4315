"""lifeiqa-export as a whole: what it writes, what it refuses, that it is all or nothing."""

import dataclasses
import json

import onnx
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from helpers.tiny_network import random_crops, tiny_manifest, tiny_model
from lifeiqa.artifacts.manifest import METADATA_KEY, Manifest, read_manifest, sidecar_of
from lifeiqa.config import Labels
from lifeiqa.errors import ArtifactError, ConfigError, DatasetError, ParityError
from lifeiqa.files import sha256_of
from lifeiqa.model.checkpoint import save_checkpoint
from lifeiqa.parity.report import TOLERANCES, Tolerance
from lifeiqa.runtimes import open_session
from lifeiqa_export.cli import main
from lifeiqa_export.export import export_checkpoint

IMPOSSIBLE = TOLERANCES | {"fp16": Tolerance(1e-12)}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = tiny_model()
    labels = Labels(dataset="random", low=1.0, high=5.0, direction="lower")
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, model.network, tiny_manifest(model, labels))
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for index, crop in enumerate(random_crops(6, 150)):
        scaled = crop // (1 + index)  # spread the scores
        Image.fromarray(scaled).save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint, images, tmp_path_factory):
    loose = TOLERANCES | {"fp16": Tolerance(2e-3, srocc=-1.0)}  # 6 random images do not rank
    out = tmp_path_factory.mktemp("out")
    return export_checkpoint(checkpoint, out, precision="fp16", images=images, tolerances=loose)


def test_the_manifest_beside_the_model_tells_its_story(exported, checkpoint):
    assert exported.path.name == "tiny.fp16.onnx"
    manifest = read_manifest(exported.path)
    assert manifest == exported.manifest
    assert manifest.sha256 == sha256_of(exported.path)
    assert manifest.parents[0].sha256 == sha256_of(checkpoint)
    assert (manifest.precision, manifest.opset, manifest.batch) == ("fp16", 20, None)
    assert manifest.labels.direction == "lower"
    assert [link["name"] for link in manifest.parity] == [
        "sparse -> dense",
        "dense -> ONNX FP32",
        "dense -> PyTorch FP16",
        "ONNX FP32 -> FP16",
        "ONNX FP32 -> FP16, as run",
    ]
    assert {"torch", "onnx", "onnxruntime", "timm"} <= manifest.tools.keys()


def test_the_model_carries_its_manifest_inside(exported):
    metadata = {p.key: p.value for p in onnx.load(exported.path).metadata_props}
    inside = Manifest.from_json(metadata[METADATA_KEY], origin="metadata")
    assert dataclasses.replace(inside, files=exported.manifest.files) == exported.manifest


def test_scores_are_in_label_units_and_survive_the_way(exported, checkpoint):
    crops = random_crops(3, 112)
    with open_session(exported.path) as graph, open_session(checkpoint) as reference:
        assert abs(graph.run(crops) - reference.run(crops)).max() < 2e-3 * 4


def test_a_failed_link_leaves_no_model_behind(checkpoint, images, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ParityError, match=r"FP16: drift .* exceeds 1.00e-12"):
        export_checkpoint(checkpoint, out, precision="fp16", images=images, tolerances=IMPOSSIBLE)
    assert not out.exists()


def test_a_failed_link_is_kept_when_asked(checkpoint, images, tmp_path):
    with pytest.raises(ParityError, match="was kept although it failed"):
        export_checkpoint(
            checkpoint,
            tmp_path,
            precision="fp16",
            images=images,
            tolerances=IMPOSSIBLE,
            keep_failed=True,
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "tiny.fp16.onnx",
        "tiny.fp16.onnx.json",
    ]


def test_a_write_that_fails_leaves_the_old_model_and_its_sidecar(
    checkpoint, images, tmp_path, monkeypatch
):
    def full(proto, path):
        if path.suffix == ".part":
            path.write_bytes(b"half of it")
            raise OSError(28, "No space left on device", str(path))
        return save(proto, path)

    old = tmp_path / "tiny.fp32.onnx"
    old.write_bytes(b"old")
    sidecar_of(old).write_text("{}")
    save = onnx.save
    monkeypatch.setattr(onnx, "save", full)
    with pytest.raises(OSError, match="No space left"):
        export_checkpoint(checkpoint, tmp_path, precision="fp32", images=images)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "tiny.fp32.onnx": b"old",
        "tiny.fp32.onnx.json": b"{}",
    }


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"precision": "int4"}, ConfigError, "int4"),
        ({"batch": 0}, ConfigError, "batch is 0"),
    ],
)
def test_bad_settings_are_refused(checkpoint, tmp_path, changes, error, words):
    with pytest.raises(error, match=words):
        export_checkpoint(checkpoint, tmp_path, **{"precision": "fp32", **changes})


def test_bad_files_are_refused(checkpoint, tmp_path):
    with pytest.raises(ArtifactError, match=r"nothing\.safetensors"):
        export_checkpoint(tmp_path / "nothing.safetensors", tmp_path, precision="fp32")
    with pytest.raises(DatasetError, match="no image"):
        export_checkpoint(checkpoint, tmp_path, precision="fp32", images=tmp_path)


def test_the_command_reports_and_exits_with_the_outcome(checkpoint, images, tmp_path):
    arguments = [str(checkpoint), "--precision", "fp32", "-o", str(tmp_path)]
    run = CliRunner().invoke(main, [*arguments, "--parity-images", str(images)])
    assert run.exit_code == 0, run.output
    assert "dense -> ONNX FP32" in run.stdout
    assert json.loads((tmp_path / "tiny.fp32.onnx.json").read_text())["precision"] == "fp32"
    failing = [*arguments, "--parity-images", str(images), "--tolerance", "srocc=1.5"]
    run = CliRunner().invoke(main, failing)
    assert run.exit_code == 1
    assert "is below 1.5" in run.stderr
    assert CliRunner().invoke(main, ["no-such-model", "--precision", "fp32"]).exit_code == 2
