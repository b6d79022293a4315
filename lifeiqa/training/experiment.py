"""An experiment: split, train, and measure once what was held back; alone, or several times."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeiqa.config import Labels
from lifeiqa.data.split_sampling import make_split, subset, unsplit
from lifeiqa.data.splits import Method, Split, read_split, write_split
from lifeiqa.data.table import Table
from lifeiqa.errors import TrainingError
from lifeiqa.evaluation.evaluate import evaluate
from lifeiqa.evaluation.result import Evaluation
from lifeiqa.files import atomic_write
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.scorer import Scorer
from lifeiqa.training.loop import train
from lifeiqa.training.record import RunFolder, is_main
from lifeiqa.training.settings import Settings
from lifeiqa.training.task import PROTOCOLS, Protocol, Task, task_of_split

Report = Callable[[str], None]
REPORT = "report.json"
"""The last file that an experiment writes: where it is, the experiment is done."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Data, settings and protocol of one training.

    Attributes:
        name: of the model.
        settings: the network, how it is fed, how it learns.
        table: the images; all to learn from when ``val`` is given, else to be split.
        labels: range and direction of the scores.
        val: images that choose the checkpoint, when they come in a table of their own.
        split: a split that was made before; None makes one from the seed.
        method: how it is made, see `lifeiqa.data.split_sampling.make_split`.
        share: of the training images that are learned.
        protocol: see `lifeiqa.training.task.PROTOCOLS`.
        weights: of the backbone, see `lifeiqa.model.pretrained`.
        start: a checkpoint to go on from.
        workers: processes that decode.
        cache: folder of cached features; None for none.
    """

    name: str
    settings: Settings
    table: Table
    labels: Labels
    val: Table | None = None
    split: Split | None = None
    method: Method | None = None
    share: float = 1.0
    protocol: Protocol = "honest"
    weights: str | None = None
    start: Path | None = None
    workers: int = 0
    cache: Path | None = None


def run(
    experiment: Experiment, out: Path, *, resume: bool = False, report: Report = print
) -> dict[str, Any]:
    """Train in ``out`` and measure the model on the test images, or else on the validation's.

    Returns:
        What ``out/report.json`` holds; an experiment that is done is not done again.

    Raises:
        LifeIQAError: see `lifeiqa.training.loop.train`.
    """
    done, writes = out / REPORT, is_main()
    task, split = _task(experiment)
    if split is not None and writes:
        _keep(split, out)
    if resume and done.is_file():
        RunFolder(out, writes=False).require(experiment.settings.to_toml(), task.record())
        finished: dict[str, Any] = json.loads(done.read_text("utf-8"))
        return finished
    train(
        experiment.settings,
        task,
        out,
        weights=experiment.weights,
        start=experiment.start,
        resume=resume and (out / "last.pt").is_file(),
        workers=experiment.workers,
        cache=experiment.cache,
        report=report,
    )
    part, table = ("val", task.val) if task.test is None else ("test", task.test)
    checkpoint = out / f"{task.name}.safetensors"
    with Scorer(checkpoint) as scorer:
        found = evaluate(scorer, table, part=f"the {part} images of the run")
    network, _ = load_checkpoint(checkpoint)
    decoder = [*network.decoder.parameters(), *network.head.parameters()]
    values = {
        "name": task.name,
        "protocol": PROTOCOLS[task.protocol],
        "seed": experiment.settings.training.seed,
        "measured_on": part,
        "train": len(task.train),
        "parameters": sum(p.numel() for p in network.parameters()),
        "decoder_parameters": sum(p.numel() for p in decoder),
        **_measured(found),
    }
    if writes:
        with atomic_write(done) as temporary:
            temporary.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
    return values


def repeat(
    experiment: Experiment, out: Path, times: int, *, resume: bool = False, report: Report = print
) -> list[dict[str, Any]]:
    """Run with seeds s, s + 1, ... in ``out/seed-S``: another split and other weights each time."""
    first, results = experiment.settings.training.seed, []
    for seed in range(first, first + times):
        report(f"seed {seed}")
        again = with_seed(experiment, seed)
        results.append(run(again, out / f"seed-{seed}", resume=resume, report=report))
    return results


def with_seed(experiment: Experiment, seed: int) -> Experiment:
    """The same experiment from another seed."""
    recipe = dataclasses.replace(experiment.settings.training, seed=seed)
    settings = dataclasses.replace(experiment.settings, training=recipe)
    return dataclasses.replace(experiment, settings=settings)


def medians(results: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Median SROCC and PLCC over several runs, as the literature reports them."""
    return {
        name: statistics.median(result[name] for result in results) for name in ("srocc", "plcc")
    }


def _task(experiment: Experiment) -> tuple[Task, Split | None]:
    """The images of each part, and the split that they come from where there is one."""
    seed = experiment.settings.training.seed
    if experiment.val is not None:
        learned = subset(unsplit(experiment.table, seed=seed), experiment.table, experiment.share)
        task = Task(
            name=experiment.name,
            train=experiment.table.take(learned.rows(experiment.table)["train"]),
            val=experiment.val,
            test=None,
            labels=experiment.labels,
            protocol=experiment.protocol,
        )
        return task, None
    split = experiment.split or make_split(
        experiment.table,
        method=experiment.method,
        seed=seed,
        val=0.1 if experiment.protocol == "honest" else 0.0,
    )
    split = subset(split, experiment.table, experiment.share)
    task = task_of_split(
        experiment.name, experiment.table, split, experiment.labels, experiment.protocol
    )
    return task, split


def _keep(split: Split, out: Path) -> None:
    """Write the split to ``out/split.json`` before it is used.

    Raises:
        TrainingError: the run in ``out`` was begun with another one, or without any.
    """
    path = out / "split.json"
    kept = read_split(path) if path.is_file() else None
    if kept != split and (out / "last.pt").is_file():
        begun = "none" if kept is None else _words(kept)
        raise TrainingError(
            f"{path}: the run was begun with another split ({begun}; now {_words(split)}). "
            f"Choose another folder"
        )
    if kept != split:
        write_split(path, split)


def _words(split: Split) -> str:
    parts = f"{len(split.train)} to learn, {len(split.val)} to choose on, {len(split.test)} to test"
    return f"{split.method}, seed {split.seed}: {parts}"


def _measured(found: Evaluation) -> dict[str, Any]:
    values = found.to_dict()
    kept = ("n", "srocc", "krcc", "plcc", "plcc_logistic4", "plcc_logistic5", "rmse", "intervals")
    table = found.table
    scores = {
        "predicted": found.aligned.tolist(),
        "human": list(table.scores),
        "references": table.references and list(table.references),
    }
    return {name: values[name] for name in kept} | {"scores": scores}
