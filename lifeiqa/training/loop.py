"""The training loop: phases, epochs, steps, and going on after a kill."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.config import Preprocessing
from lifeiqa.errors import ConfigError, TrainingError
from lifeiqa.model.network import Features, LifeIQA, Prediction
from lifeiqa.training.best_checkpoint import Choice
from lifeiqa.training.copies import seed_of
from lifeiqa.training.objective import total_loss
from lifeiqa.training.optimise import optimizer_of, rate, unfreeze
from lifeiqa.training.origin import network_of
from lifeiqa.training.recipe import Phase
from lifeiqa.training.record import RunFolder
from lifeiqa.training.settings import Settings
from lifeiqa.training.task import Task
from lifeiqa.training.work import Work, work_of

Report = Callable[[str], None]

_LOOK = 20
"""Steps between two looks at the loss on a GPU."""


def train(
    settings: Settings,
    task: Task,
    out: Path,
    *,
    weights: str | None = None,
    start: Path | None = None,
    resume: bool = False,
    workers: int = 0,
    cache: Path | None = None,
    report: Report = print,
) -> Manifest:
    """Train a network and keep its best checkpoint as ``out/NAME.safetensors``.

    Under torchrun every process calls this, and each works on its share of every batch. The load
    balance, ranking and correlation losses are then those of a share.

    Args:
        settings: the network, how it is fed, how it learns.
        task: images and labels.
        out: folder of the run, see `lifeiqa.training.record`.
        weights: pretrained weights of the backbone, see `lifeiqa.model.pretrained`.
        start: a checkpoint of the same network to go on from; it then needs no ``weights``.
        resume: go on after the last finished epoch of an earlier run in ``out``.
        workers: processes that decode images for each process that trains.
        cache: folder that keeps the features of frozen backbones for other runs.
        report: takes one line of text at a time.

    Returns:
        The manifest of the best checkpoint.

    Raises:
        TrainingError: the loss is no longer a number, and the best checkpoint so far is kept; or
            there is a run in ``out`` already, or none to resume.
        LifeIQAError: settings do not fit each other, or images or weights cannot be read.
    """
    recipe = settings.training
    labels = dataclasses.replace(task.labels, normalised=recipe.normalise)
    task = dataclasses.replace(task, labels=labels)
    # Processes on a CPU find each other when they are told that it is one, and only then.
    accelerator = Accelerator(
        mixed_precision=recipe.autocast, cpu=not torch.accelerator.is_available()
    )
    if not accelerator.is_main_process:
        report = _silent
    shared = {"batch_size": recipe.batch_size}
    shared |= {f"{phase.name}.twins": phase.twins for phase in recipe.phases}
    for name, crops in shared.items():
        if crops % accelerator.num_processes:
            raise ConfigError(
                f"{name} {crops} cannot be shared by {accelerator.num_processes} processes: "
                f"take a multiple"
            )
    # Inputs have one size, so that the search for the fastest convolutions pays.
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(recipe.seed)
    network, origin = network_of(settings, weights, start)
    # Convolutions run up to twice as fast on a CPU in this layout. Every phase has it, so that a
    # resumed run rounds as an unbroken one does.
    network = network.to(accelerator.device).to(memory_format=torch.channels_last)
    for phase in recipe.phases:
        unfreeze(network, phase)  # names that do not fit are found before an epoch is spent
    folder = RunFolder(out, writes=accelerator.is_main_process)
    preprocessing = Preprocessing(
        mean=network.backbone.mean,
        std=network.backbone.std,
        short_side=settings.images.short_side,
        crops=settings.images.crops,
    )
    choice = Choice(settings, task, preprocessing, origin, folder)
    run = _Run(settings, task, network, accelerator, folder, report, choice)
    if resume:
        run.restore()
    else:
        folder.begin(settings.to_toml(), task.record())
    folder.environment(device=str(accelerator.device), processes=accelerator.num_processes)
    report(
        f"backbone weights: {origin.weights}; {len(task.train)} images, {len(task.val)} to validate"
    )
    try:
        for index, phase in enumerate(recipe.phases):
            if run.done.get(phase.name, 0) < phase.epochs:
                seed = seed_of(recipe.seed, index)
                if not run.done.get(phase.name) and network.head.router is not None:
                    network.head.router.sharpen(phase.sharpen)
                optimizer = optimizer_of(network, recipe, phase)
                work = work_of(
                    network, task, preprocessing, recipe, phase, accelerator,
                    workers=workers, cache=cache, seed=seed,
                )  # fmt: skip
                run.fit(phase, work, optimizer, seed)
        manifest = choice.release(accelerator, workers)
        chosen = manifest.training["chosen"]
        report(
            f"settled {chosen['phase']} {chosen['epoch']}: val SROCC {chosen['val_srocc']:.4f}, "
            f"PLCC {chosen['val_plcc']:.4f}"
        )
        return manifest
    finally:
        folder.close()


class _Learner(nn.Module):
    """One way into the network for images and for cached features: what is distributed."""

    def __init__(self, network: LifeIQA) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor | Features) -> Prediction:
        if isinstance(inputs, Features):
            return self.network.decode(inputs)
        prediction: Prediction = self.network(inputs)
        return prediction


class _Run:
    """State of one run: the network, the average of its weights, and the epochs so far."""

    def __init__(
        self,
        settings: Settings,
        task: Task,
        network: LifeIQA,
        accelerator: Accelerator,
        folder: RunFolder,
        report: Report,
        choice: Choice,
    ) -> None:
        self.settings, self.task, self.network, self.choice = settings, task, network, choice
        self.accelerator, self.folder, self.report = accelerator, folder, report
        self.rows: list[dict[str, Any]] = []
        self.done: dict[str, int] = {}
        self.restored: dict[str, Any] | None = None

    def fit(self, phase: Phase, work: Work, optimizer: torch.optim.Optimizer, seed: int) -> None:
        """The epochs of a phase that are not done yet."""
        first = self.done.get(phase.name, 0)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate(phase, work.steps))
        # A decay of 0 makes the average the latest weights.
        decay: Any = get_ema_multi_avg_fn(self.settings.training.ema)  # type: ignore[no-untyped-call]
        average = AveragedModel(self.network, multi_avg_fn=decay)
        learner, optimizer = self.accelerator.prepare(_Learner(self.network), optimizer)
        state: dict[str, Any] = {"average": average, "optimizer": optimizer, "schedule": schedule}
        if self.restored is not None and first:
            for name, part in state.items():
                part.load_state_dict(self.restored[name])
        for epoch in range(first, phase.epochs):
            begun = time.monotonic()
            # What dropout draws; a resumed run draws what an unbroken one would have drawn.
            torch.manual_seed(seed_of(seed, epoch, self.accelerator.process_index))
            loss = self.epoch(phase, work, epoch, learner, average, optimizer, schedule)
            judged = average.module
            assert isinstance(judged, LifeIQA)
            self.judge(phase, work, epoch, judged.eval(), loss, time.monotonic() - begun)
            self.done[phase.name] = epoch + 1
            if epoch + 1 == phase.epochs:
                # What was judged goes on into the next phase.
                self.network.load_state_dict(judged.state_dict())
            self.save({name: part.state_dict() for name, part in state.items()})
        self.accelerator.free_memory()

    def epoch(
        self,
        phase: Phase,
        work: Work,
        epoch: int,
        learner: nn.Module,
        average: AveragedModel,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
    ) -> float:
        """One epoch; returns its mean loss."""
        recipe = self.settings.training
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.network.train()
        # Batch statistics of a small batch are worse than those of ImageNet.
        self.network.backbone.eval()
        total = torch.zeros((), device=self.accelerator.device)
        bar = tqdm(
            work.batches(epoch),
            desc=f"{phase.name} {epoch + 1}/{phase.epochs}",
            total=work.steps,
            leave=False,
            disable=None if self.accelerator.is_main_process else True,  # None: on a terminal
        )
        higher = self.task.labels.direction == "higher"
        for step, (inputs, targets, copies) in enumerate(bar, 1):
            with self.accelerator.autocast():
                prediction = learner(inputs)
            loss = total_loss(prediction, targets, recipe, copies=copies, higher_is_better=higher)
            total += loss.detach()
            # To read the loss, the CPU waits for a GPU, which then waits for the CPU.
            if total.device.type == "cpu" or step % _LOOK == 0 or step == work.steps:
                self.require_finite(float(total), phase, epoch)
                bar.set_postfix(loss=f"{float(total) / step:.4f}", refresh=False)
            optimizer.zero_grad()
            self.accelerator.backward(loss)
            if recipe.clip:
                self.accelerator.clip_grad_norm_(parameters, recipe.clip)
            optimizer.step()
            schedule.step()
            average.update_parameters(self.network)
        mean = self.accelerator.reduce(total / work.steps, "mean")
        return float(mean)

    def require_finite(self, total: float, phase: Phase, epoch: int) -> None:
        """Refuse to go on once the sum of the losses is no number."""
        if not math.isfinite(total):
            kept = f"; {self.folder.best} holds the best epoch so far" if self.choice.best else ""
            raise TrainingError(
                f"the loss became {total} in epoch {epoch + 1} of phase {phase.name}{kept}. "
                f"Lower the learning rate"
            )

    @torch.no_grad()
    def judge(
        self, phase: Phase, work: Work, epoch: int, network: LifeIQA, loss: float, seconds: float
    ) -> None:
        """Validate, and offer the network as the one to keep."""
        figures = self.choice.agreement(work.validate(network))
        row = {"phase": phase.name, "epoch": epoch + 1, "loss": round(loss, 6), **figures}
        self.rows.append(row)
        self.report(
            f"{phase.name} {epoch + 1}/{phase.epochs}  loss {loss:.4f}  "
            f"val SROCC {row['val_srocc']:.4f}  PLCC {row['val_plcc']:.4f}  {seconds:.0f} s"
        )
        self.choice.offer(network, row)

    def save(self, state: dict[str, Any]) -> None:
        """What `restore` needs; then the log, so that an epoch that is logged is not lost."""
        state |= {
            "network": self.network.state_dict(),
            "best": self.choice.best,
            "done": self.done,
            "rows": self.rows,
        }
        self.folder.save(state)
        self.folder.log(self.rows)
        self.accelerator.wait_for_everyone()

    def restore(self) -> None:
        """Go back to where the last finished epoch ended."""
        self.restored = self.folder.resume(self.settings.to_toml(), self.task.record())
        self.network.load_state_dict(self.restored["network"])
        self.choice.best, self.done = self.restored["best"], self.restored["done"]
        self.rows = self.restored["rows"]
        self.folder.log(self.rows)
        self.report(f"resumed after {self.done}")


def _silent(line: str) -> None:
    """One process speaks for all."""
