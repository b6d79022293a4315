"""Checkpoints: safetensors whose header carries the manifest."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from lifeiqa.artifacts.manifest import METADATA_KEY, Manifest, read_manifest
from lifeiqa.errors import CheckpointError
from lifeiqa.files import atomic_write
from lifeiqa.model.network import LifeIQA


def save_checkpoint(path: Path, network: LifeIQA, manifest: Manifest) -> None:
    """Write weights and manifest, whole or not at all."""
    manifest = dataclasses.replace(manifest, kind="checkpoint", config=network.config, sha256=None)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with atomic_write(path) as temporary:
        save_file(state, temporary, metadata={METADATA_KEY: manifest.to_json()})


def load_checkpoint(path: Path) -> tuple[LifeIQA, Manifest]:
    """The network, in evaluation mode on the CPU, and its manifest.

    Raises:
        ArtifactError: the file is missing or carries no manifest.
        CheckpointError: its tensors are not those of its configuration; they are listed.
    """
    manifest = read_manifest(path)
    if manifest.kind != "checkpoint":
        raise CheckpointError(f"{path}: it is of kind {manifest.kind!r}, not a checkpoint")
    network = LifeIQA(manifest.config)
    load_state(network, load_file(path), origin=str(path))
    return network.eval(), manifest


def load_state(network: LifeIQA, state: dict[str, torch.Tensor], *, origin: str) -> None:
    """Load every tensor, or say which are missing, unknown or of another shape.

    Raises:
        CheckpointError: any of the three; nothing is loaded then.
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
            f"{origin}: its tensors do not fit the network:\n  " + "\n  ".join(problems)
        )
    network.load_state_dict(state)
