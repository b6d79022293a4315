"""The formats of a manifest that C++ reads, and those that it refuses, as Python does."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
from onnx import helper

from helpers import tiny
from helpers.c_interface import CError
from helpers.manifests import in_format_1, write_format_1
from lifeiqa.artifacts.manifest import METADATA_KEY, read_manifest, sidecar_of, sidecar_text

PIXELS = np.full((40, 40, 3), 9, np.uint8)


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


def opened(library, path):
    with library.scorer(path, device="cpu") as scorer:
        return scorer.model.sha256.decode(), scorer.score_rgb(PIXELS)


def refusal(library, path):
    with pytest.raises(CError) as caught:
        opened(library, path)
    return caught.value.kind, str(caught.value)


def test_a_sidecar_of_format_1_is_read_and_checked(library, model):
    expected = opened(library, model)
    write_format_1(model, read_manifest(model))

    assert opened(library, model) == expected
    model.write_bytes(model.read_bytes() + b"\0")
    assert "its sha256 is" in refusal(library, model)[1]


def embedded(path, values):
    """The tiny model with a manifest inside and none beside it."""
    proto = tiny.model()
    helper.set_model_props(proto, {METADATA_KEY: json.dumps(values)})
    onnx.save(proto, path)
    return path


def test_a_manifest_of_format_1_inside_a_file_is_read(library, tmp_path):
    path = embedded(tmp_path / "tiny.onnx", in_format_1(tiny.manifest()))

    assert opened(library, path)[1][0] == pytest.approx(9)


def test_a_newer_format_is_refused_in_one_sentence(library, tmp_path):
    values = {**json.loads(tiny.manifest().to_json()), "format": 3}

    kind, text = refusal(library, embedded(tmp_path / "tiny.onnx", values))

    assert kind == "ArtifactError"
    assert "its format is 3, and this lifeiqa reads formats 1 and 2" in text


def test_a_model_of_several_files_is_refused(library, model):
    manifest = read_manifest(model)
    files = {**manifest.files, "weights.bin": "ab" * 32}
    sidecar_of(model).write_text(sidecar_text(dataclasses.replace(manifest, files=files)))

    kind, text = refusal(library, model)

    assert kind == "ArtifactError"
    assert "names 2 files, but only models of one file are supported" in text
