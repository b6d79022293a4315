import dataclasses
import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny
from lifeiqa.config import Labels, ModelConfig, Preprocessing
from lifeiqa.engine import BatchProfile, EngineInfo, Tensor
from lifeiqa.errors import ArtifactError, MissingDependencyError
from lifeiqa.files import sha256_of
from lifeiqa.manifest import (
    CHECKSUM,
    Manifest,
    Parent,
    describe,
    read_manifest,
    sidecar_of,
    sidecar_text,
)

FULL = tiny.manifest(
    config=ModelConfig(variant="official", backbone="lite0", head="moe", experts=8, top_k=3),
    preprocessing=Preprocessing(
        mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3), short_side=384, crops="grid:3"
    ),
    labels=Labels(dataset="KADID-10k", low=1, high=5, direction="lower"),
    precision="fp16",
    batch=4,
    parents=(Parent(file="tiny.safetensors", sha256="ab" * 32),),
    training={"seed": 3, "chosen": {"val_srocc": 0.9}},
    tools={"onnx": "1.21.0"},
    parity=({"name": "ONNX FP32 -> FP16", "max_drift": 0.0012, "srocc": 0.99991},),
    sha256="cd" * 32,
)
ENGINE = dataclasses.replace(
    FULL,
    name="tiny-é",
    kind="engine",
    batch=None,
    engine=EngineInfo(
        flavour="tensorrt",
        version="11.2.0.5",
        compute_capability="8.9",
        gpu="NVIDIA L4",
        driver="580.65.06",
        profiles=(BatchProfile.fixed(1), BatchProfile.parse("1:8:32")),
        tensors=(
            Tensor(name="crops", type="uint8", shape=(-1, 32, 32, 3)),
            Tensor(name="score", type="float32", shape=(-1,)),
        ),
        arithmetic={"float16": 9, "float32": 2},
        hardware_compatibility="ampere_plus",
    ),
    parents=(Parent(file="tiny.fp16.onnx", sha256="ef" * 32), *FULL.parents),
)


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


def written(folder, described=ENGINE):
    """An engine file, its sidecar and what the sidecar says."""
    path = folder / "tiny.fp16.engine"
    path.write_bytes(b"a plan")
    described = dataclasses.replace(described, sha256=sha256_of(path))
    sidecar_of(path).write_text(sidecar_text(described), encoding="utf-8")
    return path, described


def assert_refused_or_the_same(path, text, described):
    """No change of a sidecar makes another manifest of it, or raises what we do not name."""
    sidecar_of(path).write_bytes(text)
    try:
        read = read_manifest(path)
    except ArtifactError:
        return False
    assert read == described, text
    return True


@pytest.mark.parametrize("manifest", [FULL, ENGINE, tiny.manifest()])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_manifest_survives_json(manifest, indent):
    assert Manifest.from_json(manifest.to_json(indent=indent), origin="here") == manifest


def test_the_version_of_the_format_comes_first():
    assert FULL.to_json().startswith('{"format": 1, ')


@pytest.mark.parametrize("text", ["", "not JSON", '{"format": 1', "[1, 2]", "[]", "null", '"text"'])
def test_text_that_is_no_manifest_is_refused(text):
    message = refusal(Manifest.from_json, text, origin="model.onnx.json")

    assert message.startswith("model.onnx.json: the manifest cannot be read: ")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ({"format": 2}, "not a manifest of format 1"),
        ({"format": None}, "not a manifest of format 1"),
        ({"kind": "engine"}, "kind is 'engine', engine None"),
        ({"kind": "picture"}, "kind is 'picture'"),
        ({"engine": {"flavour": "tensorrt"}}, "kind is 'onnx', engine {'flavour': 'tensorrt'}"),
        ({"precision": "int4"}, "precision is 'int4'"),
        ({"batch": 0}, "batch is 0"),
        ({"batch": "4"}, "batch is '4'"),
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
        ({"flavour": None}, "'flavour'"),
        ({"flavour": "openvino"}, "flavour is 'openvino'"),
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


def test_a_sidecar_is_named_after_the_whole_file_name(tmp_path):
    assert sidecar_of(tmp_path / "m.fp16.onnx") == tmp_path / "m.fp16.onnx.json"


def test_a_sidecar_describes_its_file(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx", batch=4)

    assert read_manifest(path) == tiny.manifest(batch=4, sha256=sha256_of(path))


def test_any_file_with_a_sidecar_has_a_manifest(tmp_path):
    path = tmp_path / "tiny.engine"
    path.write_bytes(b"plan")
    tiny.write_sidecar(path)

    assert read_manifest(path).name == "tiny"


def test_an_engine_is_described_by_its_sidecar(tmp_path):
    path, described = written(tmp_path)

    assert read_manifest(path) == described


def test_a_sidecar_without_its_checksum_is_refused(tmp_path):
    path, _ = written(tmp_path)
    values = json.loads(sidecar_of(path).read_text())
    stated = values.pop(CHECKSUM)
    sidecar_of(path).write_text(json.dumps(values))

    assert refusal(read_manifest, path) == (
        f"{sidecar_of(path)}: its checksum is None, its values give {stated}. It was changed, or "
        f"written before manifests had one: export or build tiny.fp16.engine again"
    )


def test_a_value_that_was_changed_by_hand_is_refused(tmp_path):
    path, _ = written(tmp_path)
    text = sidecar_of(path).read_text()
    assert '"low": 1,' in text
    sidecar_of(path).write_text(text.replace('"low": 1,', '"low": 2,'))

    message = refusal(read_manifest, path)

    assert message.startswith(f"{sidecar_of(path)}: its checksum is {json.loads(text)[CHECKSUM]}, ")


def test_a_sidecar_may_be_written_in_another_style(tmp_path):
    path, described = written(tmp_path)
    values = dict(reversed(json.loads(sidecar_of(path).read_text()).items()))
    text = json.dumps(values, indent="\t", ensure_ascii=False)
    assert "é" in text

    assert assert_refused_or_the_same(path, text.encode(), described)


def test_no_bit_of_a_sidecar_can_flip_unseen(tmp_path):
    path, described = written(tmp_path)
    good = sidecar_of(path).read_bytes()
    survived = set()
    for position in range(len(good)):
        for bit in range(8):
            changed = bytearray(good)
            changed[position] ^= 1 << bit
            if assert_refused_or_the_same(path, bytes(changed), described):
                survived.add((chr(good[position]), chr(changed[position])))

    # \u00E9 is \u00e9, and there is no other way.
    assert survived == {("e", "E")}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_other_damage_to_a_sidecar_goes_unseen(tmp_path_factory, data):
    path, described = written(tmp_path_factory.mktemp("damaged"))
    good = sidecar_of(path).read_bytes()
    start = data.draw(st.integers(0, len(good)))
    stop = data.draw(st.integers(start, min(len(good), start + 4)))
    put = data.draw(st.binary(max_size=4))

    assert_refused_or_the_same(path, good[:start] + put + good[stop:], described)


def test_a_file_that_changed_under_its_sidecar_is_refused_with_both_sums(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    stated = sha256_of(path)
    path.write_bytes(path.read_bytes() + b"\0")

    message = refusal(read_manifest, path)

    assert str(path) in message
    assert stated in message
    assert sha256_of(path) in message


def test_a_sidecar_that_states_no_sum_is_refused(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx", sha256=None)

    assert "tiny.onnx.json says None" in refusal(read_manifest, path)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"format": 7}'])
def test_a_damaged_sidecar_is_refused_by_its_own_name(tmp_path, damage):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    sidecar_of(path).write_bytes(damage)

    assert refusal(read_manifest, path).startswith(f"{sidecar_of(path)}: ")


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

    assert read_manifest(path) == tiny.manifest(sha256=sha256_of(path))


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


@pytest.mark.parametrize(
    "fact",
    [
        "tiny (onnx, fp16)",
        "cd" * 32,
        "official, tf_efficientnet_lite0",
        "3 of 8 experts",
        "uint8 (4, 224, 224, 3)",
        "short side at most 384",
        "crops grid:3",
        "1..5, lower is better; KADID-10k",
        "onnx 1.21.0",
        f"tiny.safetensors {'ab' * 32}",
        "ONNX FP32 -> FP16: drift 0.0012, SROCC 0.99991",
    ],
)
def test_a_description_says_what_a_user_needs(fact):
    assert fact in describe(FULL)


@pytest.mark.parametrize(
    "fact",
    [
        "tiny-é (engine, fp16)",
        "uint8 (batch, 224, 224, 3)",
        "tensorrt 11.2.0.5, sm89, batch 1, 1:8:32; tensors: 9 float16, 2 float32; "
        "built on NVIDIA L4, driver 580.65.06",
        f"tiny.fp16.onnx {'ef' * 32}",
        f"tiny.safetensors {'ab' * 32}",
    ],
)
def test_a_description_says_what_an_engine_was_built_for(fact):
    assert fact in describe(ENGINE)


def test_a_description_names_no_gpu_where_an_engine_was_built_without_one():
    engine = dataclasses.replace(ENGINE.engine, gpu=None, driver=None)

    assert "built on" not in describe(dataclasses.replace(ENGINE, engine=engine))


def test_a_description_leaves_out_what_is_not_known():
    text = describe(dataclasses.replace(FULL, batch=None, opset=None, sha256=None, tools={}))

    assert "uint8 (batch, 224, 224, 3)" in text
    assert "None" not in text
    assert not any(line.startswith(("opset", "sha256", "tools")) for line in text.splitlines())


@pytest.mark.parametrize(("head", "words"), [("ffn", "feed-forward head"), ("none", "linear head")])
def test_a_description_names_a_head_without_experts(head, words):
    text = describe(dataclasses.replace(FULL, config=ModelConfig(head=head)))

    assert words in text
    assert "experts" not in text
