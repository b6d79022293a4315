"""Sidecars: what ties them to their file, and that no change of either goes unseen."""

import dataclasses
import json
import os

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from helpers import strangers, tiny
from helpers.manifests import ENGINE
from lifeiqa.artifacts.manifest import (
    CHECKSUM,
    METADATA_KEY,
    read_manifest,
    sidecar_of,
    sidecar_text,
)
from lifeiqa.errors import ArtifactError, ConfigError
from lifeiqa.files import sha256_of
from lifeiqa.runtimes import open_session
from lifeiqa.scorer import Scorer


def refusal(read, *arguments, **options):
    with pytest.raises(ArtifactError) as caught:
        read(*arguments, **options)
    return str(caught.value)


def written(folder, described=ENGINE):
    """An engine file, its sidecar and what the sidecar says."""
    path = folder / "tiny.fp16.engine"
    path.write_bytes(b"a plan")
    described = dataclasses.replace(described, files={path.name: sha256_of(path)})
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


def test_a_sidecar_is_named_after_the_whole_file_name(tmp_path):
    assert sidecar_of(tmp_path / "m.fp16.onnx") == tmp_path / "m.fp16.onnx.json"


def test_a_sidecar_describes_its_file(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx", batch=4)

    assert read_manifest(path) == tiny.manifest(batch=4, files={path.name: sha256_of(path)})


def test_any_file_with_a_sidecar_has_a_manifest(tmp_path):
    path = tmp_path / "tiny.plan"
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
    path = tiny.write_model(tmp_path / "tiny.onnx", files={})

    assert "tiny.onnx.json says None" in refusal(read_manifest, path)


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"format": 7}', b"[" * 100_000])
def test_a_damaged_sidecar_is_refused_by_its_own_name(tmp_path, damage):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    sidecar_of(path).write_bytes(damage)

    assert refusal(read_manifest, path).startswith(f"{sidecar_of(path)}: ")


def test_a_sidecar_is_not_read_further_than_a_manifest_goes(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    os.truncate(sidecar_of(path), 1 << 40)  # a hole of a terabyte

    for verify in (True, False):
        message = refusal(read_manifest, path, verify=verify)
        assert message == (
            f"{sidecar_of(path)}: the manifest cannot be read: it is larger than 16777216 bytes"
        )


def test_a_file_that_matches_is_verified_whether_it_must_or_not(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")

    assert read_manifest(path).verified
    assert read_manifest(path, verify=False) == read_manifest(path)


def test_another_file_under_a_sidecar_can_be_read_unverified(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    onnx.save(tiny.model(gain=2), path)

    found = read_manifest(path, verify=False)

    assert (found.verified, found.sha256) == (False, sha256_of(path))
    assert found == tiny.manifest(files={path.name: sha256_of(path)}, verified=False)


@pytest.mark.parametrize("stated", [None, "ab" * 32, 3])
def test_a_changed_sidecar_can_be_read_unverified(tmp_path, stated):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    values = json.loads(sidecar_of(path).read_text())
    sidecar_of(path).write_text(json.dumps({**values, "name": "renamed", CHECKSUM: stated}))

    found = read_manifest(path, verify=False)

    assert (found.name, found.verified) == ("renamed", False)
    assert refusal(read_manifest, path).startswith(f"{sidecar_of(path)}: its checksum is {stated}")


def test_no_sidecar_calls_itself_verified(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    values = json.loads(sidecar_of(path).read_text())
    sidecar_of(path).write_text(json.dumps({**values, "verified": True}))

    assert "cannot say whether its file is verified" in refusal(read_manifest, path, verify=False)


def test_an_engine_is_never_left_unverified(tmp_path):
    path, _ = written(tmp_path)

    for read in (read_manifest, open_session):
        with pytest.raises(ConfigError, match="an engine is code that runs, so it is never"):
            read(path, verify=False)


@pytest.mark.parametrize("embed", [True, False])
def test_weights_that_no_sum_covers_are_refused_unless_that_is_wanted(tmp_path, embed):
    proto = strangers.outside(tiny.model(), "weights.bin", offset=0, length=4)
    helper.set_model_props(proto, {METADATA_KEY: tiny.manifest().to_json()})
    path = tmp_path / "tiny.onnx"
    onnx.save_model(proto, path)
    (tmp_path / "weights.bin").write_bytes(strangers.GAIN)
    if not embed:
        tiny.write_sidecar(path)

    message = refusal(read_manifest, path)

    assert f"{path}: uses external data: weights.bin, which its manifest does not name" in message
    assert "--no-verify" in message
    assert not read_manifest(path, verify=False).verified


def test_a_scorer_may_open_what_is_not_verified_and_tells(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    onnx.save(tiny.model(gain=0.5), path)
    image = tiny.write_image(tmp_path / "grey.png", 100)

    with Scorer(path, verify=False) as scorer:
        assert scorer.score(image).value == pytest.approx(50)
        assert scorer.manifest.title == "tiny (not verified)"
    assert "its sha256 is" in refusal(Scorer, path)
