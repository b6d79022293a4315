"""C++ and Python give the same scores in the same runtime, to the last bit."""

import concurrent.futures
import ctypes
import hashlib
import json
import os
import shutil

import numpy as np
import pytest

from helpers import tiny
from helpers.c_interface import CError, failure_of, failures, python_scorer
from lifeiqa.artifacts.manifest import read_manifest, sidecar_of, sidecar_text
from lifeiqa.preprocess.decode import decode
from lifeiqa.weights import bundled
from lifeiqa_export.photographs import photographs

MODEL = bundled()


@pytest.fixture
def copy(tmp_path):
    """A copy of the bundled model and its sidecar."""
    path = tmp_path / "model.onnx"
    shutil.copy(MODEL, path)
    shutil.copy(sidecar_of(MODEL), sidecar_of(path))
    return path


def write_values(path, values):
    """Write a sidecar with these values and their checksum."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    checksum = hashlib.sha256(canonical).hexdigest()
    sidecar_of(path).write_text(json.dumps({**values, "checksum": checksum}))


def read_values(path):
    values = json.loads(sidecar_of(path).read_text())
    del values["checksum"]
    return values


@pytest.mark.parametrize("plan", [None, "cover", "five", "grid:3", "grid:7", "random:150:3"])
def test_scores_of_photographs(library, plan):
    """Batches of 32, and sums of up to 150 crops in NumPy's order."""
    names = photographs() if plan in (None, "cover", "five") else photographs()[:2]
    with (
        library.scorer(MODEL, crops=plan, device="cpu", threads=1) as ours,
        python_scorer(MODEL, crops=plan, threads=1) as theirs,
    ):
        for path in names:
            expected = theirs.score(path)
            assert ours.score_file(path) == (expected.value, expected.std, expected.crops)


def test_every_input_form_gives_the_same_score(library):
    path = photographs()[0]
    pixels = decode(path)
    wide = np.zeros((pixels.shape[0], pixels.shape[1] + 5, 3), np.uint8)
    wide[:, :-5] = pixels
    with (
        library.scorer(MODEL, device="cpu", threads=1) as ours,
        python_scorer(MODEL, threads=1) as theirs,
    ):
        expected = ours.score_file(path)
        assert ours.score_bytes(path.read_bytes()) == expected
        assert ours.score_rgb(pixels) == expected
        assert ours.score_rgb(wide[:, :-5], stride=wide.strides[0]) == expected
        crops = theirs.crops(path)
        assert tuple(ours.score_crops(crops).tolist()) == expected[2]


def test_the_model_is_described(library):
    manifest = read_manifest(MODEL)
    with library.scorer(MODEL, crops="grid:3") as scorer:
        model = scorer.model
        assert model.name.decode() == manifest.name
        assert model.sha256.decode() == manifest.sha256
        assert model.precision.decode() == manifest.precision
        assert model.runtime.decode().startswith("ONNX Runtime 1.")
        assert (model.low, model.high, model.higher_is_better) == (0.0, 1.0, 1)
        assert (model.crop_size, model.crop_count) == (manifest.config.crop_size, 9)


def test_the_number_of_crops_and_their_gaps_are_pythons(library, tmp_path):
    model = tiny.write_model(tmp_path / "tiny.onnx")
    with (
        library.scorer(model, crops="cover", device="cpu") as ours,
        python_scorer(model, crops="cover") as theirs,
    ):
        assert ours.model.crop_count == 16
        for length in (32, 33, 64, 65, 512, 513, 9000):
            pixels = np.full((33, length, 3), 7, np.uint8)
            expected = theirs.score(pixels)
            assert ours.gaps(pixels) == (expected.gaps, len(expected.crops))
            assert ours.score_rgb(pixels) == (expected.value, expected.std, expected.crops)
            assert expected.gaps == (length > 512)
    with library.scorer(model, crops="center", device="cpu") as ours:
        assert ours.gaps(pixels) == (False, 1)


def test_threads_share_a_scorer(library):
    names = photographs()[:4] * 3
    with library.scorer(MODEL, device="cpu", threads=1) as scorer:
        alone = [scorer.score_file(name) for name in names]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert list(pool.map(scorer.score_file, names)) == alone


def test_without_a_sidecar_the_embedded_manifest_is_read(library, copy):
    sidecar_of(copy).unlink()
    with library.scorer(copy) as scorer:
        assert scorer.model.name.decode() == read_manifest(MODEL).name
        assert scorer.model.sha256.decode() == read_manifest(MODEL).sha256


def test_a_missing_file_is_the_same_error(library, tmp_path):
    theirs, ours = failures(library, tmp_path / "none.onnx")
    assert ours == theirs


def test_a_folder_is_the_same_error(library, tmp_path):
    folder = tmp_path / "folder.onnx"
    folder.mkdir()
    theirs, ours = failures(library, folder)
    assert ours == theirs
    with library.scorer(MODEL) as cpp, python_scorer(MODEL) as python:
        assert failure_of(cpp.score_file, folder) == failure_of(python.score, folder)


def test_a_pipe_is_the_same_error(library, tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with library.scorer(MODEL) as cpp, python_scorer(MODEL) as python:
        ours, theirs = failure_of(cpp.score_file, pipe), failure_of(python.score, pipe)
    assert ours == theirs
    assert ours.kind == "ImageError"


def test_a_sidecar_that_is_a_pipe_is_the_same_error(library, copy):
    sidecar_of(copy).unlink()
    os.mkfifo(sidecar_of(copy))
    theirs, ours = failures(library, copy)
    assert ours == theirs
    assert ours.kind == "ArtifactError"


def test_a_changed_byte_is_the_same_error(library, copy):
    data = bytearray(copy.read_bytes())
    data[-100] ^= 1
    copy.write_bytes(data)
    theirs, ours = failures(library, copy)
    assert ours == theirs
    assert hashlib.sha256(data).hexdigest() in ours.values
    assert read_manifest(MODEL).sha256 in ours.values


def test_a_changed_sidecar_is_the_same_error(library, copy):
    text = sidecar_of(copy).read_text().replace('"high": 1.0', '"high": 2.0')
    sidecar_of(copy).write_text(text)
    theirs, ours = failures(library, copy)
    assert ours == theirs
    assert json.loads(text)["checksum"] in ours.values


def test_a_sidecar_without_a_checksum_is_the_same_error(library, copy):
    values = json.loads(sidecar_of(copy).read_text())
    del values["checksum"]
    sidecar_of(copy).write_text(json.dumps(values))
    theirs, ours = failures(library, copy)
    assert ours == theirs


# fmt: off
VALUES = [
    0.1, 0.0001, 1e-05, 1.5e-7, 123456789.125, 9999999999999998.0, 1e16, 1e22, -2.5e-300, 5e-324,
    1.7976931348623157e308, 12345, -7, 2**53 + 1, True, None, "é 漢 \U0001f600 \x7f \n", [], {},
]
# fmt: on


@pytest.mark.parametrize("value", VALUES)
def test_the_checksum_of_a_sidecar_is_that_of_python(library, copy, value):
    """Whatever values Python writes, C++ computes the same checksum."""
    manifest = read_manifest(copy)
    manifest.training["anything"] = {"é": value, "z": [value], "Z": value}
    sidecar_of(copy).write_text(sidecar_text(manifest))
    with library.scorer(copy) as scorer:
        assert scorer.model.sha256.decode() == manifest.sha256


@pytest.mark.parametrize("part", ["preprocessing", "labels"])
def test_a_setting_of_a_newer_version_is_the_same_error(library, copy, part):
    values = read_values(copy)
    values[part] |= {"zoom": 2, "ardour": None}
    write_values(copy, values)
    theirs, ours = failures(library, copy)
    assert ours == theirs
    for failure in (ours, theirs):
        assert "ardour, zoom" in failure.message


def test_a_manifest_of_format_1_is_read(library, copy):
    values = {**read_values(copy), "format": 1, "sha256": read_manifest(MODEL).sha256}
    del values["files"]
    write_values(copy, values)
    with library.scorer(copy) as cpp, python_scorer(copy) as python:
        assert cpp.model.sha256.decode() == python.manifest.sha256 == values["sha256"]


@pytest.mark.parametrize(
    "changes",
    [{"format": 0}, {"format": 3}, {"format": "2"}, {"files": {"model.onnx": 64 * "0"}}],
    ids=str,
)
def test_a_manifest_that_does_not_fit_is_an_artifact_error(library, copy, changes):
    write_values(copy, {**read_values(copy), **changes})
    for failure in failures(library, copy):
        assert failure.kind == "ArtifactError"
        assert failure.message.startswith(f"{copy}")


def test_a_model_of_several_files_is_refused(library, copy):
    values = read_values(copy)
    values["files"]["weights.bin"] = 64 * "0"
    write_values(copy, values)
    failure = failures(library, copy)[1]
    assert failure.kind == "ArtifactError"
    assert "2 files" in failure.message


INVALID_MANIFESTS = [
    "",
    "[]",
    "{",
    '{"a": 1',
    "\x00",
    "nonsense",
    '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
]


@pytest.mark.parametrize("text", INVALID_MANIFESTS, ids=lambda text: text[:9])
def test_a_sidecar_that_is_not_a_json_object_is_an_artifact_error(library, copy, text):
    sidecar_of(copy).write_text(text)
    for failure in failures(library, copy):
        assert failure.kind == "ArtifactError"
        assert failure.message.startswith(f"{sidecar_of(copy)}: ")


def test_a_file_that_is_not_a_model_is_an_artifact_error(library, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"nonsense")
    for failure in failures(library, path):
        assert failure.kind == "ArtifactError"
        assert failure.message.startswith(f"{path}: ")


@pytest.mark.parametrize("name", ["model.txt", "model", ".onnx", "model.onnx.gz"])
def test_a_file_with_another_suffix_is_an_artifact_error(library, tmp_path, name):
    for failure in failures(library, shutil.copy(MODEL, tmp_path / name)):
        assert failure.kind == "ArtifactError"
        assert f"'{(tmp_path / name).suffix}'" in failure.values


def test_a_model_that_cannot_run_is_an_artifact_error(library, tmp_path):
    proto = tiny.model()
    proto.graph.node[0].op_type = "Uncast"
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    tiny.write_sidecar(path)
    for failure in failures(library, path):
        assert failure.kind == "ArtifactError"
        assert failure.message.startswith(f"{path}: ONNX Runtime cannot load it: ")


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"crops": "grid:0"}, "crop plan 'grid:0': "),
        ({"runtime": "openvino"}, "runtime is 'openvino': "),
        ({"runtime": "tensorrt"}, f"runtime is 'tensorrt', but {MODEL.name} runs in onnxruntime"),
        ({"device": "tpu"}, "device is 'tpu': choose one of cpu, cuda"),
        ({"threads": -1}, "threads is -1: at least 1 is expected"),
    ],
)
def test_an_invalid_option_is_a_config_error(library, options, start):
    failure = failure_of(lambda: library.scorer(MODEL, **options).__enter__())
    assert failure.kind == "ConfigError"
    assert failure.message.startswith(start)


@pytest.mark.parametrize("runtime", [None, "onnxruntime"])
def test_an_onnx_file_runs_in_onnx_runtime(library, runtime):
    with library.scorer(MODEL, runtime=runtime, device="cpu") as scorer:
        assert scorer.model.runtime.decode().endswith(" CPU")


def test_an_image_that_cannot_be_scored_is_the_same_error(library, tmp_path):
    missing, large = tmp_path / "image.jpg", photographs()[0]
    with (
        library.scorer(MODEL, device="cpu", max_pixels=1000) as cpp,
        python_scorer(MODEL, max_pixels=1000) as python,
    ):
        for path in (missing, large):
            ours, theirs = failure_of(cpp.score_file, path), failure_of(python.score, path)
            assert ours == theirs
            assert ours.kind == "ImageError"
            assert str(path) in ours.values
        failure = failure_of(cpp.score_rgb, np.zeros((40, 40, 3), np.uint8))
        assert failure.kind == "ImageError"
        assert failure.values == {"40x40", "1,000", "max_pixels"}


def test_a_null_pointer_is_an_error(library):
    with pytest.raises(CError, match="path is null"):
        library.call("open", None, None, ctypes.byref(ctypes.c_void_p()))
    with pytest.raises(CError, match="scorer is null"):
        library.call("score_file", None, b"a.jpg", None, None)
    with pytest.raises(CError, match="rgb is null"):
        library.call("decode", b"", ctypes.c_size_t(0), None, ctypes.c_int64(0), None, None, None)
