"""Manifests of several files, and those of format 1, which lifeiqa 0.1 wrote."""

import dataclasses
import hashlib
import json

import pytest
from onnx import helper

from helpers import strangers, tiny
from helpers.manifests import ENGINE, FULL, in_format_1, write_format_1
from helpers.runtimes import ONNX_ON_CPU, open_on_cpu
from lifeiqa.artifacts.manifest import (
    METADATA_KEY,
    Manifest,
    read_manifest,
    sidecar_of,
    sidecar_text,
    write_with_sidecar,
)
from lifeiqa.artifacts.summary import describe
from lifeiqa.errors import ArtifactError
from lifeiqa.files import sha256_of


def refusal(path, **options):
    with pytest.raises(ArtifactError) as caught:
        read_manifest(path, **options)
    return str(caught.value)


@pytest.mark.parametrize("manifest", [FULL, ENGINE, tiny.manifest()], ids=lambda m: m.name)
def test_a_manifest_of_format_1_is_the_same_manifest(manifest):
    text, origin = json.dumps(in_format_1(manifest)), "tiny.fp16.onnx.json"

    found = Manifest.from_json(text, origin=origin)

    assert found == dataclasses.replace(manifest, files=found.files)
    assert list(found.files.values()) == list(manifest.files.values())


def test_a_sidecar_of_format_1_is_read_and_checked(tmp_path):
    path = tmp_path / "tiny.engine"
    path.write_bytes(b"a plan")
    described = dataclasses.replace(ENGINE, files={path.name: sha256_of(path)})
    write_format_1(path, described)

    assert read_manifest(path) == described
    path.write_bytes(b"another plan")
    assert "its sha256 is" in refusal(path)


def test_a_sidecar_of_format_1_is_rewritten_in_the_format_of_today(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    write_format_1(path, read_manifest(path))

    sidecar_of(path).write_text(sidecar_text(read_manifest(path)))

    assert json.loads(sidecar_of(path).read_text())["format"] == 2
    assert read_manifest(path).verified


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ({"files": {}}, "a manifest of format 1 has no files"),
        ({"engine": {"version": "1"}}, "no 'flavour'"),
        ({"sha256": 3}, "files is {'m.engine': 3}"),
    ],
)
def test_a_damaged_manifest_of_format_1_is_refused(damage, complaint):
    text = json.dumps({**in_format_1(ENGINE), **damage})

    with pytest.raises(ArtifactError, match=r"m\.engine\.json: the manifest cannot be") as caught:
        Manifest.from_json(text, origin="m.engine.json")

    assert complaint in str(caught.value)


@pytest.fixture
def pair(tmp_path):
    """An ONNX model whose weights lie beside it, and a manifest that names both files."""
    path, weights = tmp_path / "tiny.onnx", tmp_path / "weights.bin"
    weights.write_bytes(strangers.GAIN)
    proto = strangers.outside(tiny.model(), weights.name, offset=0, length=4)
    helper.set_model_props(proto, {METADATA_KEY: tiny.manifest().to_json()})
    write_with_sidecar(
        path,
        tiny.manifest(),
        lambda temporary: temporary.write_bytes(proto.SerializeToString()),
        beside=[weights],
    )
    return path


def test_a_manifest_may_name_several_files(pair):
    found = read_manifest(pair)

    assert found.verified
    assert found.files == {
        name: sha256_of(pair.with_name(name)) for name in ("tiny.onnx", "weights.bin")
    }
    assert Manifest.from_json(found.to_json(), origin="here") == found
    for name, digest in found.files.items():
        assert f"file      {name} {digest}" in describe(found)


def test_the_sum_of_several_files_is_that_of_sha256sum(pair):
    found = read_manifest(pair)

    lines = "".join(f"{found.files[name]}  {name}\n" for name in ("tiny.onnx", "weights.bin"))
    assert found.sha256 == hashlib.sha256(lines.encode()).hexdigest()


@pytest.mark.parametrize("runtime", ONNX_ON_CPU)
def test_weights_that_the_manifest_names_are_run(pair, runtime):
    with open_on_cpu(pair, runtime) as session:
        assert session.manifest.verified
        assert session.run(tiny.crops(10)) == pytest.approx([70])  # the weight is 7


@pytest.mark.parametrize("name", ["tiny.onnx", "weights.bin"])
def test_a_change_of_any_of_the_files_is_found(pair, name):
    file = pair.with_name(name)
    if name == "weights.bin":
        file.write_bytes(bytes(4))
    else:
        file.write_bytes(file.read_bytes() + b"\x0a\x00")

    assert refusal(pair).startswith(f"{file}: its sha256 is {sha256_of(file)}, the manifest ")


def test_a_file_that_is_missing_is_named(pair):
    pair.with_name("weights.bin").unlink()

    assert refusal(pair) == f"{pair}: its file weights.bin is missing: put it beside {pair}"


def test_of_several_files_none_may_be_renamed(pair):
    moved = pair.rename(pair.with_name("moved.onnx"))
    sidecar_of(pair).rename(sidecar_of(moved))

    assert "names tiny.onnx, weights.bin, and not moved.onnx" in refusal(moved)


def test_a_lone_file_may_be_renamed_with_its_sidecar(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    moved = path.rename(path.with_name("moved.onnx"))
    sidecar_of(path).rename(sidecar_of(moved))

    assert read_manifest(moved).files == {"moved.onnx": sha256_of(moved)}


def test_weights_that_the_manifest_does_not_name_are_refused(pair):
    manifest = read_manifest(pair)
    alone = {pair.name: manifest.files[pair.name]}
    sidecar_of(pair).write_text(sidecar_text(dataclasses.replace(manifest, files=alone)))

    assert "uses external data: weights.bin, which its manifest does not name" in refusal(pair)
    assert not read_manifest(pair, verify=False).verified
