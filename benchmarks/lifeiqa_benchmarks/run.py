"""A whole run: every candidate in its own process, in turns with the baseline."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.data.images import parity_crops
from lifeiqa.data.table import Table
from lifeiqa.errors import ConfigError, WorkerError
from lifeiqa.metrics import srocc
from lifeiqa.preprocess.crops import crops_from_pixels
from lifeiqa.preprocess.decode import decode
from lifeiqa.runtimes.base import Array
from lifeiqa_benchmarks.candidate import EAGER, Candidate
from lifeiqa_benchmarks.client import Client
from lifeiqa_benchmarks.machine import machine
from lifeiqa_benchmarks.report import Accuracy, Report, Result, Stages
from lifeiqa_benchmarks.starts import starts
from lifeiqa_benchmarks.turns import PAIRS, alone, in_turns

_DEVICE_RUNS = 50
_PRODUCT_SIZE, _PRODUCT_SECONDS = 2048, 1.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to measure.

    Attributes:
        batches: crops a run.
        threads: of every runtime.
        seconds: for each candidate and batch size, over all its turns.
        images: files for accuracy and stages.
        labelled: images with human scores, or None.
        label_name: what those are called in the report.
        starts: measure cold processes as well.
        cpp: the command of engines/cpp, to time beside Python with them.
    """

    batches: tuple[int, ...]
    threads: int
    seconds: float
    images: tuple[Path, ...]
    labelled: Table | None = None
    label_name: str = ""
    starts: bool = False
    cpp: Path | None = None

    @property
    def gathered(self) -> int:
        """The batch size for accuracy and folders: about 8, and one that is measured anyway."""
        return min(self.batches, key=lambda size: abs(size - 8))

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "batches": list(self.batches),
            "threads": self.threads,
            "seconds": self.seconds,
            "turns": PAIRS,
            "images": len(self.images),
            "human_scores": self.label_name,
        }


def run(
    candidates: Sequence[Candidate], settings: Settings, *, report: Callable[[str], None]
) -> Report:
    """Measure candidates, the first being the baseline of all others.

    Args:
        candidates: two forms of one model at least make a comparison; one alone is measured too.
        settings: how.
        report: takes a line for each step begun.

    Raises:
        WorkerError: the baseline cannot be measured. What befalls another candidate is its result.
        ConfigError: the candidates are not forms of one model.
    """
    _require_one_model(candidates)
    before = machine()
    with tempfile.TemporaryDirectory(prefix="lifeiqa-bench-") as folder:
        material = _Material(candidates[0].manifest, settings, Path(folder))
        first = candidates[0]
        report(f"{first.name}: the baseline")
        with Client(first, threads=settings.threads) as baseline:
            peak = baseline.ask("product", size=_PRODUCT_SIZE, seconds=_PRODUCT_SECONDS)["flops"]
            flops = baseline.ask("flops")["flops"] if first.runtime == EAGER else None
            reference = material.scores(baseline)
            results = [_measured(first, baseline, None, material, reference)]
            for candidate in candidates[1:]:
                report(candidate.name)
                results.append(_tried(candidate, baseline, material, reference))
            cold = {}
            if settings.starts:
                report("cold starts")
                cold = starts(settings.images[0], settings.cpp)
            peak_again = baseline.ask("product", size=_PRODUCT_SIZE, seconds=_PRODUCT_SECONDS)
    return Report(
        machine=before,
        settings=settings.to_dict(),
        results=tuple(results),
        flops_per_crop=flops,
        peak_flops=max(peak, peak_again["flops"]),
        starts=cold,
    )


class _Material:
    """What every candidate is measured on, made once."""

    def __init__(self, manifest: Manifest, settings: Settings, folder: Path) -> None:
        self.settings, self.span = settings, manifest.labels.span
        self._folder = folder
        feed, size = manifest.preprocessing, manifest.config.crop_size
        images = settings.images
        self._crops = [parity_crops(images, feed, size, distort=True)]
        self._counts: list[int] = []
        self.human: Array | None = None
        if settings.labelled is not None:
            for path in settings.labelled.paths:
                self._crops.append(crops_from_pixels(decode(path), feed, size))
                self._counts.append(len(self._crops[-1]))
            self.human = np.asarray(settings.labelled.scores)
        np.save(folder / "crops.npy", np.concatenate(self._crops))
        self.parity = len(self._crops[0])
        del self._crops

    def scores(self, client: Client) -> Array:
        """A candidate's scores of all crops."""
        target = self._folder / "scores.npy"
        client.ask(
            "score",
            crops=str(self._folder / "crops.npy"),
            scores=str(target),
            batch=self.settings.gathered,
        )
        scores: Array = np.load(target)
        return scores

    def accuracy(self, scores: Array, reference: Array) -> Accuracy:
        """Drift and rank on the crops for parity, and agreement with people on the others."""
        ours, theirs = scores[: self.parity], reference[: self.parity]
        drift = np.abs(ours.astype(np.float64) - theirs) / self.span
        found = Accuracy(
            n=self.parity,
            max_drift=float(drift.max()),
            mean_drift=float(drift.mean()),
            srocc=srocc(theirs, ours),
        )
        if self.human is None:
            return found
        parts = np.split(scores[self.parity :], np.cumsum(self._counts)[:-1])
        means = np.array([part.mean(dtype=np.float64) for part in parts])
        return dataclasses.replace(found, human_srocc=srocc(self.human, means), human_n=len(means))


def _tried(candidate: Candidate, baseline: Client, material: _Material, reference: Array) -> Result:
    try:
        with Client(candidate, threads=material.settings.threads) as client:
            return _measured(candidate, client, baseline, material, reference)
    except WorkerError as error:
        return Result(
            name=candidate.name,
            sha256=candidate.manifest.sha256 or "",
            size_bytes=candidate.size,
            failed=str(error),
        )


def _measured(
    candidate: Candidate,
    client: Client,
    baseline: Client | None,
    material: _Material,
    reference: Array,
) -> Result:
    settings = material.settings
    result = Result(
        name=candidate.name,
        runtime=client.ask("about")["runtime"],
        sha256=candidate.manifest.sha256 or "",
        size_bytes=candidate.size,
        load_s=client.load_s,
        first_score_s=client.first_score_s,
        accuracy=material.accuracy(
            reference if baseline is None else material.scores(client), reference
        ),
    )
    images = [str(path) for path in settings.images]
    parts = {
        name: _per_image(client.ask("stages", images=images, batch=batch))
        for name, batch in (("single", 0), ("folder", settings.gathered))
    }
    timings = []
    for batch in settings.batches:
        if baseline is None:
            timing = alone(client, batch, settings.seconds)
        else:
            timing = in_turns(baseline, client, batch, settings.seconds)
        on_device = client.ask("device", batch=batch, runs=_DEVICE_RUNS)["ms"]
        timings.append(dataclasses.replace(timing, device_ms=tuple(on_device)))
    return dataclasses.replace(
        result,
        stages=Stages(**parts),
        timings=tuple(timings),
        peak_bytes=client.ask("memory")["peak_bytes"],
    )


def _per_image(answer: dict[str, Any]) -> dict[str, float]:
    seconds: dict[str, float] = answer["seconds"]
    return {name: 1e3 * spent / answer["images"] for name, spent in seconds.items()}


def _require_one_model(candidates: Sequence[Candidate]) -> None:
    first = candidates[0].manifest
    for candidate in candidates:
        manifest = candidate.manifest
        same = (
            manifest.preprocessing == first.preprocessing
            and manifest.labels == first.labels
            and manifest.config.crop_size == first.config.crop_size
        )
        if not same:
            raise ConfigError(
                f"{candidate.file.name} and {candidates[0].file.name} differ in preprocessing, "
                f"labels or crop size: they are not forms of one model. Measure them one by one"
            )
