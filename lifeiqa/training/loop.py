"""The training loop; it keeps the one checkpoint that validation likes best, and settles it.

The honest protocol: the validation table alone chooses the checkpoint, by its fixed crops.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lifeiqa.config import ModelConfig, Preprocessing
from lifeiqa.errors import TrainingError
from lifeiqa.files import atomic_write
from lifeiqa.manifest import Manifest
from lifeiqa.metrics import plcc, srocc
from lifeiqa.model.checkpoint import load_checkpoint, save_checkpoint
from lifeiqa.model.losses import total_loss
from lifeiqa.model.network import LifeIQA
from lifeiqa.model.pretrained import load_pretrained
from lifeiqa.model.rounding import settle
from lifeiqa.training.phases import Phase, Task, frozen_phase, joint_phase, refine_phase, validate
from lifeiqa.training.recipe import Recipe

Report = Callable[[str], None]


def train(
    config: ModelConfig,
    task: Task,
    recipe: Recipe,
    out: Path,
    *,
    weights: str | None = None,
    resume: bool = False,
    report: Report = print,
) -> Manifest:
    """Train a network and keep its best checkpoint as ``out/NAME.safetensors``.

    ``out/metrics.jsonl`` holds a line for each epoch, ``out/last.pt`` what `resume` needs.

    Args:
        config: the network.
        task: pictures and labels.
        recipe: how long, how fast.
        out: folder of the run; made when missing.
        weights: pretrained weights of the backbone, see `lifeiqa.model.pretrained`.
        resume: go on after the last finished epoch of an earlier run in ``out``.
        report: takes one line of text at a time.

    Returns:
        The manifest of the best checkpoint.

    Raises:
        TrainingError: the loss is no longer a number, and the best checkpoint so far is kept; or
            there is a run in ``out`` already, or none to resume.
        LifeIQAError: pictures or weights cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    # Convolutions run up to twice as fast on a CPU in this layout. Every phase has it, so that a
    # resumed run rounds as an unbroken one does.
    network = LifeIQA(config).to(memory_format=torch.channels_last)
    origin = load_pretrained(network.backbone, config, weights)
    preprocessing = Preprocessing(
        mean=network.backbone.mean,
        std=network.backbone.std,
        short_side=task.short_side,
        crops=task.crops,
    )
    report(f"backbone weights: {origin}; {len(task.train)} pictures, {len(task.val)} to validate")
    run = _Run(network, task, preprocessing, recipe, out, origin, report)
    if resume:
        run.restore()
    elif run.resumable.exists():
        raise TrainingError(f"{out} holds a run already: add --resume, or choose another folder")
    for name, epochs, make in (
        ("frozen", recipe.frozen_epochs, frozen_phase),
        ("joint", recipe.epochs, joint_phase),
        ("refine", recipe.refine_epochs, refine_phase),
    ):
        if run.done.get(name, 0) >= epochs:
            continue
        if name == "refine" and name not in run.done and network.head.router is not None:
            network.head.router.sharpen(recipe.sharpen)
        run.fit(make(network, task, preprocessing, recipe))
    return run.settle()


class _Run:
    """State of one run: the network, the average of its weights, and the best epoch so far."""

    def __init__(
        self,
        network: LifeIQA,
        task: Task,
        preprocessing: Preprocessing,
        recipe: Recipe,
        out: Path,
        origin: str,
        report: Report,
    ) -> None:
        self.network, self.task, self.recipe = network, task, recipe
        self.preprocessing, self.out, self.origin, self.report = preprocessing, out, origin, report
        self.resumable = out / "last.pt"
        self.best: dict[str, Any] = {"val_srocc": -math.inf}
        self.done: dict[str, int] = {}
        self.restored: dict[str, Any] | None = None

    def fit(self, phase: Phase) -> None:
        recipe, start = self.recipe, self.done.get(phase.name, 0)
        optimizer = torch.optim.AdamW(phase.groups)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, _warmup_cosine(phase.epochs * phase.steps, recipe.warmup)
        )
        # A decay of 0 makes the average the latest weights.
        decay: Any = get_ema_multi_avg_fn(recipe.ema)  # type: ignore[no-untyped-call]
        average = AveragedModel(self.network, multi_avg_fn=decay)
        state: dict[str, Any] = {"average": average, "optimizer": optimizer, "schedule": schedule}
        if self.restored is not None and start:
            for name, part in state.items():
                part.load_state_dict(self.restored[name])
        for epoch in range(start, phase.epochs):
            begun = time.monotonic()
            loss = self.train_epoch(phase, epoch, average, optimizer, schedule)
            judged = average.module
            assert isinstance(judged, LifeIQA)
            self.judge(phase, epoch, judged, loss, time.monotonic() - begun)
            self.done[phase.name] = epoch + 1
            if epoch + 1 == phase.epochs:
                # What was judged goes on into the next phase.
                self.network.load_state_dict(judged.state_dict())
            self.save({name: part.state_dict() for name, part in state.items()})

    def train_epoch(
        self,
        phase: Phase,
        epoch: int,
        average: AveragedModel,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> float:
        """One epoch; returns its mean loss."""
        parameters = [p for group in phase.groups for p in group["params"]]
        self.network.train()
        # Batch statistics of a small batch are worse than those of ImageNet.
        self.network.backbone.eval()
        total = 0.0
        for inputs, targets in phase.batches(epoch):
            prediction = phase.predict(self.network, inputs)
            loss = total_loss(prediction.score, targets, prediction.routing)
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss.item()} in epoch {epoch + 1} of phase {phase.name}; "
                    f"the best checkpoint so far stays in {self.out}. Lower the learning rate"
                )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, self.recipe.clip)
            optimizer.step()
            schedule.step()
            average.update_parameters(self.network)
            total += loss.item()
        return total / phase.steps

    @torch.no_grad()
    def judge(
        self, phase: Phase, epoch: int, network: LifeIQA, loss: float, seconds: float
    ) -> None:
        """Validate, log, and keep the checkpoint when it is the best so far."""
        scores = phase.validate(network.eval())
        row: dict[str, Any] = {
            "phase": phase.name,
            "epoch": epoch + 1,
            "loss": round(loss, 6),
            **self.agreement(scores),
        }
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        self.report(
            f"{phase.name} {epoch + 1}/{phase.epochs}  loss {loss:.4f}  "
            f"val SROCC {row['val_srocc']:.4f}  PLCC {row['val_plcc']:.4f}  {seconds:.0f} s"
        )
        if row["val_srocc"] > self.best["val_srocc"]:
            self.best = row
            save_checkpoint(self.checkpoint, network, self.manifest(row))

    def settle(self) -> Manifest:
        """Round the chosen checkpoint's weights to float16 values and judge it once more.

        The figures in its manifest are then those of the very weights that are released, and a
        half-precision export loses none of them.
        """
        network, _ = load_checkpoint(self.checkpoint)
        settle(network)
        chosen = self.best | self.agreement(validate(network, self.task, self.preprocessing))
        self.report(
            f"settled {chosen['phase']} {chosen['epoch']}: val SROCC {chosen['val_srocc']:.4f}, "
            f"PLCC {chosen['val_plcc']:.4f}"
        )
        manifest = self.manifest(chosen)
        save_checkpoint(self.checkpoint, network, manifest)
        return manifest

    def agreement(self, scores: list[float]) -> dict[str, float]:
        """Validation figures of a list of scores."""
        target = self.task.val.scores
        return {"val_srocc": srocc(scores, target), "val_plcc": plcc(scores, target)}

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that validation likes best so far."""
        return self.out / f"{self.task.name}.safetensors"

    def manifest(self, row: dict[str, Any]) -> Manifest:
        """The manifest of the checkpoint of one epoch."""
        return Manifest(
            name=self.task.name,
            kind="checkpoint",
            config=self.network.config,
            preprocessing=self.preprocessing,
            labels=self.task.labels,
            training={
                "backbone_weights": self.origin,
                "train": {"name": self.task.train.name, "pictures": len(self.task.train)},
                "val": {"name": self.task.val.name, "pictures": len(self.task.val)},
                "protocol": "honest: the checkpoint was chosen on val",
                "chosen": row,
                "recipe": self.recipe.to_dict(),
            },
            tools={"torch": torch.__version__},
        )

    def save(self, state: dict[str, Any]) -> None:
        """What `restore` needs, whole or not at all."""
        state |= {"network": self.network.state_dict(), "best": self.best, "done": self.done}
        with atomic_write(self.resumable) as temporary:
            torch.save(state, temporary)

    def restore(self) -> None:
        """Go back to where the last finished epoch ended."""
        if not self.resumable.is_file():
            raise TrainingError(f"{self.resumable}: there is no run to resume; leave out --resume")
        self.restored = torch.load(self.resumable, weights_only=True)
        self.network.load_state_dict(self.restored["network"])
        self.best, self.done = self.restored["best"], self.restored["done"]
        self.report(f"resumed after {self.done}")


def _warmup_cosine(steps: int, warmup: float) -> Callable[[int], float]:
    rise = max(1, round(steps * warmup))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    return factor
