"""What a checkpoint stores: float16 where that is exact, and the same network when read back."""

import dataclasses
import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import save_file

from helpers.tiny_network import tiny_manifest, tiny_model
from lifeiqa.artifacts.manifest import METADATA_KEY, read_manifest
from lifeiqa.cli import main
from lifeiqa.errors import CheckpointError
from lifeiqa.model.checkpoint import load_checkpoint, rewrite_checkpoint, save_checkpoint
from lifeiqa.model.float16_weights import round_weights_to_fp16


@pytest.fixture
def model():
    torch.manual_seed(0)
    return tiny_model()


@pytest.fixture
def old(model, tmp_path):
    """A rounded network as earlier versions stored it: every tensor in float32."""
    round_weights_to_fp16(model.network)
    path = tmp_path / "old.safetensors"
    state = {name: tensor.contiguous() for name, tensor in model.network.state_dict().items()}
    save_file(state, path, metadata={METADATA_KEY: tiny_manifest(model).to_json()})
    return path


def stored(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def bits(tensor):
    return tensor.contiguous().view(-1).view(torch.uint8).tolist()


def assert_same_bits(network, expected):
    for name, tensor in expected.state_dict().items():
        found = network.state_dict()[name]
        assert found.dtype == tensor.dtype, name
        assert bits(found) == bits(tensor), name


def test_rounded_weights_take_half_the_bytes_and_keep_every_bit(model, tmp_path):
    round_weights_to_fp16(model.network)
    save_checkpoint(tmp_path / "tiny.safetensors", model.network, tiny_manifest(model))
    types = {name: tensor.dtype for name, tensor in stored(tmp_path / "tiny.safetensors").items()}
    kept = {name for name, dtype in types.items() if dtype == torch.float32}
    # What a half-precision network keeps in float32, and the variance 1 - eps of folded norms.
    assert kept
    assert all(
        name.startswith(("head.body.router.", "head.score.")) or name.endswith("running_var")
        for name in kept
    )
    assert_same_bits(load_checkpoint(tmp_path / "tiny.safetensors")[0], model.network)


@pytest.mark.parametrize(
    "value",
    [0.1, 65520.0, 2.0**-25, float("nan"), float("inf"), -0.0, 2.0**-24, 65504.0],
)
def test_any_value_is_read_back_bit_for_bit(model, tmp_path, value):
    """Too fine, too large, too small, no number, infinite, a signed zero, the extremes."""
    norm = model.network.head.norm
    with torch.no_grad():
        norm.bias.fill_(1.0)[0] = value
    save_checkpoint(tmp_path / "tiny.safetensors", model.network, tiny_manifest(model))
    assert_same_bits(load_checkpoint(tmp_path / "tiny.safetensors")[0], model.network)
    exact = value in (float("inf"), 0.0, 2.0**-24, 65504.0)
    assert (stored(tmp_path / "tiny.safetensors")["head.norm.bias"].dtype == torch.float16) == exact


def test_an_old_checkpoint_loads_and_is_rewritten_with_its_manifest(old, model, tmp_path):
    assert_same_bits(load_checkpoint(old)[0], model.network)
    new = tmp_path / "new.safetensors"
    manifest = rewrite_checkpoint(old, new)
    assert new.stat().st_size < 0.7 * old.stat().st_size
    assert_same_bits(load_checkpoint(new)[0], model.network)
    assert manifest == read_manifest(new)
    assert dataclasses.replace(manifest, files={}) == dataclasses.replace(
        read_manifest(old), files={}
    )


def test_the_command_rewrites_an_old_checkpoint_in_place(old, model, tmp_path):
    alone = shutil.copy(old, tmp_path / "alone.safetensors")
    run = CliRunner().invoke(main, ["convert", str(alone), "-o", str(alone)])
    assert run.exit_code == 0, run.output
    assert alone.stat().st_size < 0.7 * old.stat().st_size
    assert_same_bits(load_checkpoint(alone)[0], model.network)


def test_the_command_takes_no_labels_for_a_checkpoint_that_has_them(old, tmp_path):
    out = tmp_path / "new.safetensors"
    run = CliRunner().invoke(main, ["convert", str(old), "-o", str(out), "--dataset", "KonIQ-10k"])
    assert run.exit_code == 2
    assert "--dataset" in run.output
    assert not out.exists()


def test_a_file_of_another_kind_is_refused(old, model, tmp_path):
    values = json.loads(tiny_manifest(model).to_json())
    text = json.dumps({**values, "kind": "onnx"})
    save_file(stored(old), tmp_path / "other.safetensors", metadata={METADATA_KEY: text})
    with pytest.raises(CheckpointError, match="kind is 'onnx'"):
        load_checkpoint(tmp_path / "other.safetensors")
