"""Where the weights that a run begins with come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lifeiqa.artifacts.manifest import Parent
from lifeiqa.errors import ConfigError
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.network import LifeIQA
from lifeiqa.model.pretrained import load_pretrained
from lifeiqa.training.settings import Settings


@dataclass(frozen=True)
class Origin:
    """For the record of a run.

    Attributes:
        weights: of the backbone, in words.
        parents: the checkpoint that it goes on from, where there is one.
    """

    weights: str
    parents: tuple[Parent, ...] = ()


def network_of(
    settings: Settings, weights: str | None, start: Path | None
) -> tuple[LifeIQA, Origin]:
    """The network that a run begins with: pretrained weights, or a whole checkpoint.

    Raises:
        CheckpointError: there are no such weights, or the checkpoint cannot be read.
        ConfigError: the checkpoint holds another network than the settings name.
    """
    if start is None:
        network = LifeIQA(settings.model)
        return network, Origin(load_pretrained(network.backbone, settings.model, weights))
    network, manifest = load_checkpoint(start)
    if network.config != settings.model:
        ours, theirs = settings.model.to_dict(), network.config.to_dict()
        changed = [f"{k} {theirs[k]} -> {ours[k]}" for k in ours if ours[k] != theirs[k]]
        raise ConfigError(f"{start} holds another network: {', '.join(changed)}")
    return network, Origin(start.name, (Parent(file=start.name, sha256=manifest.sha256 or ""),))
