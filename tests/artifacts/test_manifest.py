import dataclasses
import json
import math
import os
import sys

import pytest

from helpers import tiny
from helpers.manifests import ENGINE, FULL
from lifeiqa.artifacts.manifest import (
    Manifest,
    read_manifest,
    sidecar_of,
)
from lifeiqa.errors import ArtifactError, MissingDependencyError
from lifeiqa.files import sha256_of


def damaged(**changes):
    """The JSON text of a whole manifest with some keys changed; None takes a key away."""
    values = {**json.loads(FULL.to_json()), **changes}
    return json.dumps({name: value for name, value in values.items() if value is not None})


def changed(part, **changes):
    return {part: {**json.loads(FULL.to_json())[part], **changes}}


def refusal(read, *arguments, **options):
    with pytest.raises(ArtifactError) as caught:
        read(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize("manifest", [FULL, ENGINE, tiny.manifest()])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_manifest_survives_json(manifest, indent):
    assert Manifest.from_json(manifest.to_json(indent=indent), origin="here") == manifest


def test_whether_a_file_was_verified_is_never_written():
    unverified = dataclasses.replace(FULL, verified=False)

    assert unverified.to_json() == FULL.to_json()
    assert (FULL.title, unverified.title) == ("tiny", "tiny (not verified)")


def test_the_version_of_the_format_comes_first():
    assert FULL.to_json().startswith('{"format": 2, ')


@pytest.mark.parametrize("text", ["", "not JSON", '{"format": 1', "[1, 2]", "[]", "null", '"text"'])
def test_text_that_is_no_manifest_is_refused(text):
    message = refusal(Manifest.from_json, text, origin="model.onnx.json")

    assert message.startswith("model.onnx.json: the manifest cannot be read: ")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ({"format": 3}, "its format is 3, and this lifeiqa reads formats 1 and 2"),
        ({"format": None}, "its format is None, and this lifeiqa reads"),
        ({"kind": "engine"}, "kind is 'engine', engine None"),
        ({"kind": "../x"}, "kind is '../x'"),
        ({"kind": 3}, "kind is 3"),
        ({"engine": {"runtime": "tensorrt"}}, "kind is 'onnx', engine {'runtime': 'tensorrt'}"),
        ({"precision": "int4"}, "precision is 'int4'"),
        ({"batch": 0}, "batch is 0"),
        ({"batch": "4"}, "batch is '4'"),
        ({"batch": True}, "batch is True"),
        ({"batch": 10**9}, "batch is 1000000000: 1 to 65536"),
        ({"opset": 0}, "opset is 0"),
        ({"opset": "20"}, "opset is '20'"),
        ({"verified": True}, "cannot say whether its file is verified"),
        ({"training": [1]}, "training is [1]"),
        ({"tools": "x"}, "tools is 'x'"),
        ({"parity": [1]}, "parity is (1,)"),
        ({"name": "../../etc/x"}, "name is '../../etc/x'"),
        ({"name": r"a\b"}, "without / and"),
        ({"name": ".."}, "name is '..'"),
        ({"name": "a\nb"}, "name is 'a\\nb'"),
        ({"name": "\x1b[2J"}, "printable characters"),
        ({"name": ""}, "name is ''"),
        ({"name": "x" * 201}, "1 to 200"),
        ({"name": 5}, "name is 5"),
        ({"parents": [{"file": "../x.onnx", "sha256": "ab"}]}, "file of a parent is '../x.onnx'"),
        ({"files": ["x"]}, "files is ['x']: names and their sha256 are expected"),
        ({"files": {"x": 3}}, "files is {'x': 3}"),
        ({"files": {"../x": "ab"}}, "files has '../x': a path inside"),
        ({"files": {"/x": "ab"}}, "files has '/x'"),
        ({"files": {"a//x": "ab"}}, "files has 'a//x'"),
        ({"files": {"": "ab"}}, "files has ''"),
        ({"files": {"x\0": "ab"}}, "files has 'x\\x00'"),
        ({"colour": "sRGB"}, "colour"),
        ({"kind": None}, "no 'kind'"),
        ({"precision": None}, "no 'precision'"),
        ({"config": None}, "no 'config'"),
        ({"preprocessing": None}, "no 'preprocessing'"),
        ({"labels": None}, "no 'labels'"),
        ({"parents": None}, "no 'parents'"),
        ({"parity": None}, "no 'parity'"),
        ({"name": None}, "name"),
        ({"config": 3}, "int"),
        ({"config": ["dim"]}, "mapping"),
        ({"parity": 3}, "int"),
        ({"parents": [{"file": "x"}]}, "sha256"),
        (changed("config", width=3), "ModelConfig has no width"),
        (changed("config", top_k=9), "top_k 9 exceeds experts 8"),
        (changed("preprocessing", mean="grey"), "Preprocessing cannot be read"),
        (changed("preprocessing", std=[0, 1, 1]), "std is (0.0, 1.0, 1.0)"),
        (changed("preprocessing", gamma=2.2), "Preprocessing has no gamma"),
        (changed("labels", low=9), "9..5"),
        (changed("labels", low=math.nan), "label range nan..5"),
        (changed("labels", high=10**400), "Labels cannot be read"),
        (changed("config", crop_size=10**9), "crop_size is 1000000000"),
        (changed("preprocessing", short_side=200), "short_side 200 is below the crop of 224"),
        (changed("preprocessing", mean=[0, 0, 10**400]), "Preprocessing cannot be read"),
        (changed("labels", unit="JND"), "Labels has no unit"),
    ],
)
def test_a_damaged_manifest_is_refused_with_its_origin_and_the_damage(damage, complaint):
    message = refusal(Manifest.from_json, damaged(**damage), origin="model.onnx.json")

    assert message.startswith("model.onnx.json: the manifest cannot be read: ")
    assert complaint in message


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ({"runtime": None}, "'runtime'"),
        ({"runtime": "../x"}, "runtime is '../x'"),
        ({"version": 11}, "version is 11"),
        ({"profiles": None}, "no 'profiles'"),
        ({"profiles": []}, "at least one batch size"),
        ({"profiles": 8}, "int"),
        ({"profiles": [8]}, "int"),
        ({"profiles": [{"minimum": 8, "optimum": 8, "maximum": "8"}]}, "whole numbers"),
        ({"tensors": None}, "no 'tensors'"),
        ({"tensors": [{"name": "crops", "type": "uint8"}]}, "no 'shape'"),
        ({"colour": "green"}, "EngineInfo has no colour"),
    ],
)
def test_a_damaged_part_of_an_engine_is_refused(damage, complaint):
    values = json.loads(ENGINE.to_json())
    part = {**values["engine"], **damage}
    values["engine"] = {name: value for name, value in part.items() if value is not None}

    message = refusal(Manifest.from_json, json.dumps(values), origin="tiny.engine.json")

    assert message.startswith("tiny.engine.json: the manifest cannot be read: ")
    assert complaint in message


def test_a_missing_file_is_refused_even_beside_its_sidecar(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    path.unlink()

    assert refusal(read_manifest, path) == f"{path}: no such model file"


def test_a_folder_is_no_model_file(tmp_path):
    assert "no such model file" in refusal(read_manifest, tmp_path)


def test_an_unknown_ending_without_a_sidecar_is_refused(tmp_path):
    path = tmp_path / "tiny.pth"
    path.touch()

    message = refusal(read_manifest, path)

    assert str(path) in message
    assert ".safetensors" in message
    assert "tiny.pth.json" in message


def test_a_lone_onnx_file_carries_its_manifest_inside(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx", embed=True)

    assert read_manifest(path) == tiny.manifest(files={path.name: sha256_of(path)}, verified=False)
    assert read_manifest(path).title == "tiny (not verified)"  # no sum was there to be checked


@pytest.mark.parametrize("what", ["folder", "pipe", "link to nothing"])
def test_a_sidecar_that_is_no_file_does_not_count_as_none(tmp_path, what):
    path = tiny.write_model(tmp_path / "tiny.onnx", embed=True)
    sidecar = sidecar_of(path)
    if what == "folder":
        sidecar.mkdir()
    elif what == "pipe":
        os.mkfifo(sidecar)
    else:
        sidecar.symlink_to("nowhere")

    assert "the manifest is not a regular file" in refusal(read_manifest, path)


def test_a_manifest_of_another_kind_of_file_is_refused(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx", kind="checkpoint")

    assert "its manifest describes a file of kind 'checkpoint', not an ONNX model" in refusal(
        read_manifest, path
    )


def test_an_onnx_file_without_a_manifest_is_refused(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    sidecar_of(path).unlink()

    assert "it carries no lifeiqa manifest" in refusal(read_manifest, path)


@pytest.mark.parametrize("name", ["tiny.onnx", "tiny.safetensors"])
@pytest.mark.parametrize("content", [b"", b"garbage" * 9])
def test_garbage_under_the_name_of_a_model_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)

    assert refusal(read_manifest, path).startswith(f"{path}: not a")


def test_reading_a_checkpoint_without_its_package_names_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "tiny.safetensors"
    path.touch()
    monkeypatch.setitem(sys.modules, "safetensors", None)

    with pytest.raises(MissingDependencyError, match=r"lifeiqa\[export\]"):
        read_manifest(path)
