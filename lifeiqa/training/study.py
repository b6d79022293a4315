"""The paper's studies, each a list of networks that are trained alike: Tables III to VI, Fig. 2."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lifeiqa.errors import ConfigError
from lifeiqa.evaluation.bootstrap import difference, draw, resampled_srocc
from lifeiqa.model.backbone import stages_of
from lifeiqa.model.network import LifeIQA
from lifeiqa.training.experiment import Experiment, Report, medians, repeat
from lifeiqa.training.optimise import unfreeze

_FULL = "Life-IQA"
_RESAMPLES = 1000


@dataclass(frozen=True)
class Row:
    """One line of a study's table.

    Attributes:
        label: as the paper writes it.
        model: changed fields of `lifeiqa.config.ModelConfig`.
        share: of the training images.
    """

    label: str
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    share: float = 1.0


_PROBE = {"mixer": "none", "memory_stage": None, "depth": 0, "head": "none"}
"""Global average pooling and two linear layers without anything between: a linear probe."""


def ablation(backbone: str) -> list[Row]:
    """Tables IV and VI: parts of the decoder replaced, parts removed."""
    return [
        Row("GCN -> MHA", {"mixer": "attention"}),
        Row("MoE -> FFN", {"head": "ffn"}),
        Row("vanilla decoder", {"mixer": "attention", "head": "ffn"}),
        Row("w/o stage3", {"memory_stage": None}),
        Row("w/o MoE", {"head": "none"}),
        Row("w/o GCN", {"mixer": "none"}),
        Row("GAP + linear", _PROBE),
        Row(_FULL),
    ]


def pairs(backbone: str) -> list[Row]:
    """Table V: every pair of stages 1 to 4, the deeper one as the query."""
    stages = [stage for stage in stages_of(backbone) if stage >= 1]
    found = [(q, m) for q in stages for m in stages if m < q]
    rows = [Row(f"Stage{q} <-> Stage{m}", {"query_stage": q, "memory_stage": m}) for q, m in found]
    return [*rows[:-1], dataclasses.replace(rows[-1], label=f"{rows[-1].label} ({_FULL})")]


def data(backbone: str) -> list[Row]:
    """Table III: 20, 40 and 60 % of the training images, and all of them."""
    return [Row(f"{share:.0%}", share=share) for share in (0.2, 0.4, 0.6, 1.0)]


def stages(backbone: str) -> list[Row]:
    """Fig. 2: global average pooling and a linear layer on each stage, and the whole decoder."""
    return [
        Row(f"GAP + linear, stage {stage}", _PROBE | {"query_stage": stage})
        for stage in stages_of(backbone)
    ] + [Row(_FULL)]


STUDIES: dict[str, Callable[[str], list[Row]]] = {
    "ablation": ablation,
    "pairs": pairs,
    "data": data,
    "stages": stages,
}
"""Name -> rows for a backbone."""


def study(
    kind: str, experiment: Experiment, out: Path, *, seeds: int, report: Report
) -> list[tuple[Row, list[dict[str, Any]]]]:
    """Train every row of a study ``seeds`` times; what is done already in ``out`` is not repeated.

    Raises:
        ConfigError: a row cannot be made of the experiment's network, before any is trained.
    """
    rows = STUDIES[kind](experiment.settings.model.backbone_name)
    planned = []
    for row in rows:
        try:
            model = dataclasses.replace(experiment.settings.model, **row.model)
            with torch.device("meta"):  # where a network of any size costs nothing
                network = LifeIQA(model)
            for phase in experiment.settings.training.phases:
                unfreeze(network, phase)
        except ConfigError as error:
            raise ConfigError(f"row {row.label!r} of the study {kind}: {error}") from error
        settings = dataclasses.replace(experiment.settings, model=model)
        planned.append((row, dataclasses.replace(experiment, settings=settings, share=row.share)))
    results = []
    for row, changed in planned:
        report(f"{kind}: {row.label}")
        folder = out / "".join(c if c.isalnum() else "-" for c in row.label.lower())
        results.append((row, repeat(changed, folder, seeds, resume=True, report=report)))
    return results


def table_of(results: Sequence[tuple[Row, list[dict[str, Any]]]], title: str) -> str:
    """The paper's form, in Markdown: median SROCC and PLCC over the seeds, and their spread.

    The last column sets a row against the last one, which is the whole network on all the data:
    the mean over the seeds of the difference in SROCC, both judged on the same images, and the
    95 % bootstrap interval of that mean over the images.
    """
    lines = [
        f"| {title} | decoder parameters | SROCC | over the seeds | PLCC | SROCC to the last |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    whole = results[-1][1]
    for row, runs in results:
        middle, ordered = medians(runs), sorted(runs, key=lambda run: float(run["srocc"]))
        lines.append(
            f"| {row.label} | {runs[0]['decoder_parameters']:,} | {middle['srocc']:.4f} | "
            f"{ordered[0]['srocc']:.4f} to {ordered[-1]['srocc']:.4f} | {middle['plcc']:.4f} | "
            f"{'' if runs is whole else _against(runs, whole)} |"
        )
    first = results[0][1]
    lines += [
        "",
        f"{len(first)} seeds, n {first[0]['n']} ({first[0]['measured_on']}); "
        f"protocol {first[0]['protocol']}.",
    ]
    return "\n".join(lines)


def _against(runs: Sequence[dict[str, Any]], whole: Sequence[dict[str, Any]]) -> str:
    """Mean over the seeds of the difference in SROCC, with its interval over the images."""
    resampled = []
    for one, other in zip(runs, whole, strict=True):
        scores = one["scores"]
        human = np.asarray(scores["human"])
        counts = draw(len(human), scores["references"], _RESAMPLES, one["seed"])
        predicted, theirs = (np.asarray(run["scores"]["predicted"]) for run in (one, other))
        resampled.append(difference(resampled_srocc, predicted, theirs, human, counts))
    mean = statistics.fmean(
        one["srocc"] - other["srocc"] for one, other in zip(runs, whole, strict=True)
    )
    low, high = np.percentile(np.mean(resampled, axis=0), (2.5, 97.5))
    return f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
