"""Scores of the C++ library are those of Python on the same runtime, to the last bit."""

import concurrent.futures
import ctypes
import hashlib
import json
import shutil

import numpy as np
import pytest

from helpers import tiny
from helpers.clibrary import CError, error_of, errors
from lifeiqa.artifacts.manifest import read_manifest, sidecar_of, sidecar_text
from lifeiqa.preprocess.decode import decode
from lifeiqa.scorer import Scorer
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


@pytest.mark.parametrize("plan", [None, "five", "grid:3", "grid:7", "random:150:3"])
def test_scores_of_photographs(library, plan):
    """Batches of 32, and sums of up to 150 crops in numpy's order."""
    names = photographs() if plan in (None, "five") else photographs()[:2]
    with (
        library.scorer(MODEL, crops=plan, provider="cpu", threads=1) as ours,
        Scorer(MODEL, crops=plan, runtime="onnxruntime", device="cpu", threads=1) as theirs,
    ):
        for path in names:
            expected = theirs.score(path)
            assert ours.score_file(path) == (expected.value, expected.std, expected.crops)


def test_every_way_in_gives_the_same(library):
    path = photographs()[0]
    pixels = decode(path)
    wide = np.zeros((pixels.shape[0], pixels.shape[1] + 5, 3), np.uint8)
    wide[:, :-5] = pixels
    with (
        library.scorer(MODEL, provider="cpu", threads=1) as ours,
        Scorer(MODEL, runtime="onnxruntime", device="cpu", threads=1) as theirs,
    ):
        expected = ours.score_file(path)
        assert ours.score_bytes(path.read_bytes()) == expected
        assert ours.score_rgb(pixels) == expected
        assert ours.score_rgb(wide[:, :-5], stride=wide.strides[0]) == expected
        crops = theirs.crops(path)
        assert tuple(ours.score_crops(crops).tolist()) == expected[2]


def test_the_model_says_what_it_is(library):
    manifest = read_manifest(MODEL)
    with library.scorer(MODEL, crops="grid:3") as scorer:
        model = scorer.model
        assert model.name.decode() == manifest.name
        assert model.sha256.decode() == manifest.sha256
        assert model.precision.decode() == manifest.precision
        assert model.runtime.decode().startswith("ONNX Runtime 1.")
        assert (model.low, model.high, model.higher_is_better) == (0.0, 1.0, 1)
        assert (model.crop_size, model.crop_count) == (manifest.config.crop_size, 9)


def test_threads_share_a_scorer(library):
    names = photographs()[:4] * 3
    with library.scorer(MODEL, provider="cpu", threads=1) as scorer:
        alone = [scorer.score_file(name) for name in names]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            assert list(pool.map(scorer.score_file, names)) == alone


def test_without_a_sidecar_the_manifest_inside_counts(library, copy):
    sidecar_of(copy).unlink()
    with library.scorer(copy) as scorer:
        assert scorer.model.name.decode() == read_manifest(MODEL).name
        assert scorer.model.sha256.decode() == read_manifest(MODEL).sha256


def test_a_missing_file_has_the_same_error(library, tmp_path):
    theirs, ours = errors(library, tmp_path / "none.onnx")
    assert ours == theirs


def test_a_folder_has_the_same_error(library, tmp_path):
    folder = tmp_path / "folder.onnx"
    folder.mkdir()
    theirs, ours = errors(library, folder)
    assert ours == theirs
    with library.scorer(MODEL) as cpp, Scorer(MODEL) as python:
        assert error_of(lambda: cpp.score_file(folder)) == error_of(lambda: python.score(folder))


def test_a_changed_byte_has_the_same_error(library, copy):
    data = bytearray(copy.read_bytes())
    data[-100] ^= 1
    copy.write_bytes(data)
    theirs, ours = errors(library, copy)
    assert ours == theirs
    assert "its sha256 is" in ours[1]


def test_a_changed_sidecar_has_the_same_error(library, copy):
    text = sidecar_of(copy).read_text().replace('"high": 1.0', '"high": 2.0')
    sidecar_of(copy).write_text(text)
    theirs, ours = errors(library, copy)
    assert ours == theirs
    assert "its checksum is" in ours[1]


def test_a_sidecar_without_a_checksum_has_the_same_error(library, copy):
    values = json.loads(sidecar_of(copy).read_text())
    del values["checksum"]
    sidecar_of(copy).write_text(json.dumps(values))
    theirs, ours = errors(library, copy)
    assert ours == theirs


# fmt: off
VALUES = [
    0.1, 0.0001, 1e-05, 1.5e-7, 123456789.125, 9999999999999998.0, 1e16, 1e22, -2.5e-300, 5e-324,
    1.7976931348623157e308, 12345, -7, 2**53 + 1, True, None, "é 漢 \U0001f600 \x7f \n", [], {},
]
# fmt: on


@pytest.mark.parametrize("value", VALUES)
def test_the_sum_of_a_sidecar_is_pythons(library, copy, value):
    """A sidecar whose values are written by Python is understood, whatever they are."""
    manifest = read_manifest(copy)
    manifest.training["anything"] = {"é": value, "z": [value], "Z": value}
    sidecar_of(copy).write_text(sidecar_text(manifest))
    with library.scorer(copy) as scorer:
        assert scorer.model.sha256.decode() == manifest.sha256


@pytest.mark.parametrize("part", ["preprocessing", "labels"])
def test_a_setting_of_a_newer_version_has_the_same_error(library, copy, part):
    values = json.loads(sidecar_of(copy).read_text())
    del values["checksum"]
    values[part] |= {"zoom": 2, "ardour": None}
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":")).encode()
    values["checksum"] = hashlib.sha256(canonical).hexdigest()
    sidecar_of(copy).write_text(json.dumps(values))
    theirs, ours = errors(library, copy)
    assert ours == theirs
    assert " has no ardour, zoom; it has " in ours[1]


NO_MANIFESTS = [
    "",
    "[]",
    "{",
    '{"a": 1',
    "\x00",
    "nonsense",
    '{"a":' + "[" * 100_000 + "]" * 100_000 + "}",
]


@pytest.mark.parametrize("text", NO_MANIFESTS, ids=lambda text: text[:9])
def test_a_sidecar_that_is_no_json_is_an_artifact_error(library, copy, text):
    sidecar_of(copy).write_text(text)
    theirs, ours = errors(library, copy)
    start = f"{sidecar_of(copy)}: the manifest cannot be read: "
    assert ours[0] == theirs[0] == "ArtifactError"
    assert ours[1].startswith(start)
    assert theirs[1].startswith(start)


def test_a_file_that_is_no_model_is_an_artifact_error(library, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"nonsense")
    theirs, ours = errors(library, path, provider="cpu")
    assert ours[0] == theirs[0] == "ArtifactError"
    assert ours[1].startswith(f"{path}: not an ONNX model that can be used: ")
    assert theirs[1].startswith(f"{path}: not an ONNX model that can be used: ")


def test_a_model_that_cannot_run_is_an_artifact_error(library, tmp_path):
    proto = tiny.model()
    proto.graph.node[0].op_type = "Uncast"
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    tiny.write_sidecar(path)
    theirs, ours = errors(library, path, provider="cpu")
    assert ours[0] == theirs[0] == "ArtifactError"
    assert "ONNX Runtime cannot load it" in ours[1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"crops": "grid:0"}, "crop plan 'grid:0'"),
        ({"provider": "tpu"}, "provider is 'tpu': choose one of cpu, cuda"),
        ({"threads": -1}, "threads is -1: at least 1 is expected"),
    ],
)
def test_a_setting_that_cannot_work_is_a_config_error(library, options, text):
    kind, message = errors(library, MODEL, **options)[1]
    assert kind == "ConfigError"
    assert text in message


def test_an_image_that_cannot_be_scored_is_named_with_the_same_error(library, tmp_path):
    path = tmp_path / "image.jpg"
    with (
        library.scorer(MODEL, provider="cpu", max_pixels=1000) as ours,
        Scorer(MODEL, runtime="onnxruntime", device="cpu", max_pixels=1000) as theirs,
    ):
        assert error_of(lambda: ours.score_file(path)) == error_of(lambda: theirs.score(path))
        large = photographs()[0]
        assert error_of(lambda: ours.score_file(large)) == error_of(lambda: theirs.score(large))
        kind, text = error_of(lambda: ours.score_rgb(np.zeros((40, 40, 3), np.uint8)))
        assert (kind, text) == (
            "ImageError",
            "40x40 has more than 1,000 pixels; reduce the image or raise max_pixels",
        )


def test_a_null_pointer_is_an_error(library):
    with pytest.raises(CError, match="path is null"):
        library.call("open", None, None, ctypes.byref(ctypes.c_void_p()))
    with pytest.raises(CError, match="scorer is null"):
        library.call("score_file", None, b"a.jpg", None, None)
