"""Checkpoints: safetensors whose header carries the manifest.

A float32 tensor whose every value float16 holds exactly is stored as float16, and read back as
float32 with the same bits. `lifeiqa.model.float16_weights` rounds a network so that this is true of
nearly all its weights, which halves the file.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lifeiqa.artifacts.manifest import METADATA_KEY, Manifest, read_manifest
from lifeiqa.errors import CheckpointError
from lifeiqa.files import atomic_write
from lifeiqa.model.network import LifeIQA


def save_checkpoint(path: Path, network: LifeIQA, manifest: Manifest) -> None:
    """Write weights and manifest, whole or not at all."""
    manifest = dataclasses.replace(manifest, kind="checkpoint", config=network.config, files={})
    state = {name: _stored(tensor) for name, tensor in network.state_dict().items()}
    with atomic_write(path) as temporary:
        save_file(state, temporary, metadata={METADATA_KEY: manifest.to_json()})


def rewrite_checkpoint(source: Path, out: Path) -> Manifest:
    """Write a checkpoint again as `save_checkpoint` writes it today: the same weights and manifest.

    Raises:
        ArtifactError: ``source`` is missing or carries no manifest.
        CheckpointError: its tensors are not those of its configuration.
    """
    network, manifest = load_checkpoint(source)
    save_checkpoint(out, network, manifest)
    return read_manifest(out)


def _stored(tensor: Tensor) -> Tensor:
    """The tensor as float16 if that changes no value, else as it is."""
    half = tensor.half()
    exact = tensor.dtype == torch.float32 and torch.equal(half.float(), tensor)
    return (half if exact else tensor).contiguous()


def load_checkpoint(path: Path, manifest: Manifest | None = None) -> tuple[LifeIQA, Manifest]:
    """The network in float32, in evaluation mode on the CPU, and its manifest.

    Args:
        path: of the checkpoint.
        manifest: what `read_manifest` gave for it; None reads it.

    Raises:
        ArtifactError: the file is missing or has no manifest.
        CheckpointError: its tensors are not those of its configuration; they are listed.
    """
    manifest = manifest or read_manifest(path)
    if manifest.kind != "checkpoint":
        raise CheckpointError(f"{path}: kind is {manifest.kind!r}, not checkpoint")
    network = LifeIQA(manifest.config)
    load_state(network, load_file(path), origin=str(path))
    return network.eval(), manifest


def load_state(network: LifeIQA, state: dict[str, Tensor], *, origin: str) -> None:
    """Load every tensor, or list the tensors that are missing, unknown or of another shape.

    Raises:
        CheckpointError: there is any such tensor; nothing is loaded then.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    problems = [f"missing: {name} {expected[name]}" for name in sorted(expected.keys() - given)]
    problems += [f"unknown: {name} {given[name]}" for name in sorted(given.keys() - expected)]
    problems += [
        f"shape of {name}: {given[name]}, expected {expected[name]}"
        for name in sorted(expected.keys() & given)
        if given[name] != expected[name]
    ]
    if problems:
        raise CheckpointError(
            f"{origin}: the tensors do not fit the network:\n  " + "\n  ".join(problems)
        )
    network.load_state_dict(state)
