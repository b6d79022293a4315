"""The one checkpoint of a run: which epoch it is, what its manifest says, how it is released."""

from __future__ import annotations

import math
from typing import Any

import torch
from accelerate import Accelerator

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.config import Preprocessing
from lifeiqa.metrics import plcc, srocc
from lifeiqa.model.checkpoint import load_checkpoint, save_checkpoint
from lifeiqa.model.float16_weights import round_weights_to_fp16
from lifeiqa.model.network import LifeIQA, ScoringModel
from lifeiqa.training.origin import Origin
from lifeiqa.training.record import RunFolder
from lifeiqa.training.sampling import Feed
from lifeiqa.training.settings import Settings
from lifeiqa.training.task import PROTOCOLS, Task
from lifeiqa.training.work import validate


class Choice:
    """Keeps the epoch that the validation images like best, by SROCC.

    Args:
        settings: of the run.
        task: what is learned.
        preprocessing: how images are fed.
        origin: of the weights that the run began with.
        folder: of the run.

    Attributes:
        best: the row of the log of the best epoch so far; empty before the first.
    """

    def __init__(
        self,
        settings: Settings,
        task: Task,
        preprocessing: Preprocessing,
        origin: Origin,
        folder: RunFolder,
    ) -> None:
        self.settings, self.task, self.preprocessing = settings, task, preprocessing
        self.origin, self.folder = origin, folder
        self.best: dict[str, Any] = {}

    def agreement(self, scores: list[float]) -> dict[str, float]:
        """Validation figures of a score for each image."""
        target = self.task.val.scores
        return {"val_srocc": srocc(scores, target), "val_plcc": plcc(scores, target)}

    def offer(self, network: LifeIQA, row: dict[str, Any]) -> None:
        """Keep the network of an epoch when it is the best so far of those that may be chosen."""
        phases = self.settings.training.chosen_from
        if phases and row["phase"] not in phases:
            return
        # Constant predictions have no rank correlation; any other epoch is better than they.
        if not self.best or _rank(row) > _rank(self.best):
            self.best = row
            if self.folder.writes:
                save_checkpoint(self.folder.best, network, self.manifest(row))

    def release(self, accelerator: Accelerator, workers: int) -> Manifest:
        """Round the chosen checkpoint's weights to float16 values, judge it once more, write it.

        The figures in its manifest are then those of the very weights that are released, and a
        half-precision export loses none of them.
        """
        accelerator.wait_for_everyone()
        network, _ = load_checkpoint(self.folder.best)
        round_weights_to_fp16(network)
        network = network.to(accelerator.device).to(memory_format=torch.channels_last)
        scoring = ScoringModel(network, self.preprocessing, self.task.labels)
        scoring = scoring.to(accelerator.device).eval()
        held = Feed(self.task.val, self.preprocessing, network.config.crop_size, workers)
        row = self.best | self.agreement(validate(network, scoring, held, accelerator))
        manifest = self.manifest(row)
        if self.folder.writes:
            path = self.folder.folder / f"{self.task.name}.safetensors"
            save_checkpoint(path, network.cpu(), manifest)
        accelerator.wait_for_everyone()
        return manifest

    def manifest(self, row: dict[str, Any]) -> Manifest:
        """The manifest of the checkpoint of one epoch."""
        settings = self.settings.to_dict()
        return Manifest(
            name=self.task.name,
            kind="checkpoint",
            config=self.settings.model,
            preprocessing=self.preprocessing,
            labels=self.task.labels,
            parents=self.origin.parents,
            training={
                "backbone_weights": self.origin.weights,
                **self.task.record(),
                "protocol": PROTOCOLS[self.task.protocol],
                "chosen": row,
                "recipe": settings["training"] | {"phases": settings["phases"]},
            },
            tools={"torch": torch.__version__},
        )


def _rank(row: dict[str, Any]) -> float:
    return -math.inf if math.isnan(row["val_srocc"]) else row["val_srocc"]
