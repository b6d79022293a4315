"""Two candidates measured in turns, A B A B, so that a drift of the machine meets both alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lifeiqa_benchmarks.client import Client

PAIRS = 6
"""Turns of each of the two; the interval of their ratio comes from so many pairs."""


@dataclass(frozen=True)
class Ratio:
    """Speedup over the baseline; above 1 is faster.

    Attributes:
        median: over the pairs.
        low: lower end of a 95 % interval of the median.
        high: upper end.
        pairs: the ratio of the median latencies of each pair of turns.
    """

    median: float
    low: float
    high: float
    pairs: tuple[float, ...]

    @classmethod
    def of(cls, pairs: list[float]) -> Ratio:
        """The median and its interval by bootstrap over pairs, drawn alike every time."""
        values = np.asarray(pairs)
        draws = np.random.default_rng(0).integers(0, len(values), (2000, len(values)))
        low, high = np.percentile(np.median(values[draws], axis=1), [2.5, 97.5])
        return cls(float(np.median(values)), float(low), float(high), tuple(pairs))


@dataclass(frozen=True)
class Timing:
    """The latencies of one batch size.

    Attributes:
        ms: of every run, in the order they were made.
        batch: crops a run.
        ratio: to the baseline; None for the baseline itself.
        device_ms: of runs on the GPU alone, see `lifeiqa_benchmarks.device`; empty without one.
    """

    ms: tuple[float, ...]
    batch: int
    ratio: Ratio | None = None
    device_ms: tuple[float, ...] = ()

    @property
    def throughput(self) -> float:
        """Crops a second, over all runs."""
        return 1e3 * self.batch * len(self.ms) / sum(self.ms)

    def percentile(self, share: float) -> float:
        """A percentile of the latencies, in ms."""
        return float(np.percentile(self.ms, share))

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with what a reader would compute from it."""
        return {
            "batch": self.batch,
            "throughput": self.throughput,
            **{f"p{share}_ms": self.percentile(share) for share in (50, 90, 95, 99)},
            "ratio": None if self.ratio is None else vars(self.ratio),
            "ms": [round(value, 4) for value in self.ms],
            "device_ms": [round(value, 4) for value in self.device_ms],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Timing:
        """The inverse of `to_dict`."""
        ratio = values["ratio"]
        if ratio is not None:
            ratio = Ratio(**{**ratio, "pairs": tuple(ratio["pairs"])})
        return cls(tuple(values["ms"]), values["batch"], ratio, tuple(values["device_ms"]))


def alone(client: Client, batch: int, seconds: float) -> Timing:
    """Measure one candidate by itself, after a warm-up."""
    client.ask("warm_up", batch=batch)
    return Timing(tuple(client.ask("measure", batch=batch, seconds=seconds)["ms"]), batch)


def in_turns(baseline: Client, candidate: Client, batch: int, seconds: float) -> Timing:
    """Measure a candidate against the baseline, `PAIRS` turns each, after a warm-up of both.

    Args:
        baseline: an open process.
        candidate: another one; both are idle while the other has its turn.
        batch: crops a run.
        seconds: for the candidate, over all its turns; the baseline gets as much.
    """
    for client in (baseline, candidate):
        client.ask("warm_up", batch=batch)
    latencies: list[float] = []
    ratios = []
    for _ in range(PAIRS):
        turn = {"batch": batch, "seconds": seconds / PAIRS}
        theirs = baseline.ask("measure", **turn)["ms"]
        ours = candidate.ask("measure", **turn)["ms"]
        ratios.append(float(np.median(theirs) / np.median(ours)))
        latencies += ours
    return Timing(tuple(latencies), batch, Ratio.of(ratios))
