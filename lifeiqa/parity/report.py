"""What a step costs: two observations of the same crops, compared by score, rank and experts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lifeiqa.errors import ConfigError
from lifeiqa.metrics import srocc
from lifeiqa.parity.observe import Observation, chosen_experts, input_errors, margins
from lifeiqa.runtimes.base import Array, Trace

Flags: TypeAlias = npt.NDArray[np.bool_]

_ROUNDING = 2.0**-24
"""The least relative error of a token that is counted with: one rounding of float32."""


@dataclass(frozen=True)
class Tolerance:
    """The most that a link may cost.

    Attributes:
        drift: largest |difference| of two scores of a crop, as a share of the label range.
        srocc: smallest rank correlation between the two.
        changed: largest share of the tokens that may change expert although the router had a
            clear preference.
    """

    drift: float
    srocc: float = 0.9995
    changed: float = 0.0


TOLERANCES: dict[str, Tolerance] = {
    "dense": Tolerance(1e-6),
    "fp32": Tolerance(1e-5),
    "fp16": Tolerance(2e-3),
    "int8": Tolerance(6e-2, srocc=0.995, changed=0.02),
    "engine": Tolerance(5e-3),
}
"""By what a link changes: routing from sparse to dense, the runtime in float32, the arithmetic,
or the compiler with its own kernels.

INT8 changes the router's input too. Two INT8 forms of the bundled model drifted by 2.2e-2 and
2.8e-2 on the default crops, and 0 and 1 of 432 tokens changed expert. The bounds are twice that."""


def tolerances_with(changes: Iterable[str]) -> dict[str, Tolerance]:
    """`TOLERANCES` with some changed: ``LINK=DRIFT``, or ``srocc=LOWEST`` for every link.

    Raises:
        ConfigError: a change does not name a link, or its value is not a number.
    """
    result = dict(TOLERANCES)
    for change in changes:
        name, _, text = change.partition("=")
        try:
            value = float(text)
            if name == "srocc":
                result = {k: dataclasses.replace(t, srocc=value) for k, t in result.items()}
            else:
                result[name] = dataclasses.replace(result[name], drift=value)
        except (KeyError, ValueError):
            raise ConfigError(
                f"tolerance {change!r}: write LINK=DRIFT with LINK one of "
                f"{', '.join(TOLERANCES)}, or srocc=LOWEST"
            ) from None
    return result


@dataclass(frozen=True)
class Link:
    """The cost of one step, from a parent's scores to its child's.

    Drifts are shares of the label range. A token at a near-tie may use another expert in the child,
    and its crop then jumps: such crops are counted and reported apart, and drift and rank are those
    of all other crops.

    Attributes:
        name: parent and child.
        runtime: the arithmetic of the child.
        n: number of crops.
        max_drift: largest |difference|.
        p99_drift: its 99th percentile.
        mean_drift: its mean.
        srocc: rank correlation between the two.
        tokens: query tokens compared; None if a router cannot be seen.
        changed: tokens whose set of experts changed although the router had a clear preference.
        near_ties: tokens whose set changed, and whose margin in the parent is below what the error
            of the router's input can move it by. That error is measured: it is the largest of all
            crops in which no token changed.
        smallest_margin: smallest gap, in the parent, between the logits of the last expert that
            was chosen and the first that was not; None if every expert is chosen.
        apart: crops that are reported apart: their tokens changed at near-ties alone.
        apart_drift: largest |difference| of those crops; None if there is none.
        apart_drift_image: what one such crop moves the score of its image by, at most: the mean is
            over the crops of the model's plan.
        tolerance: what the link may cost.
    """

    name: str
    runtime: str
    n: int
    max_drift: float
    p99_drift: float
    mean_drift: float
    srocc: float
    tokens: int | None
    changed: int | None
    near_ties: int | None
    smallest_margin: float | None
    apart: int
    apart_drift: float | None
    apart_drift_image: float | None
    tolerance: Tolerance

    @property
    def failures(self) -> list[str]:
        """Each way in which the link exceeds its tolerance, in words; empty if it does not."""
        found = []
        if not self.max_drift <= self.tolerance.drift:  # a NaN is a failure too
            found.append(
                f"{self.name}: drift {self.max_drift:.2e} of the label range exceeds "
                f"{self.tolerance.drift:.2e}"
            )
        if not self.srocc >= self.tolerance.srocc:
            found.append(f"{self.name}: SROCC {self.srocc:.6f} is below {self.tolerance.srocc}")
        if self.changed and self.tokens and self.changed > self.tolerance.changed * self.tokens:
            found.append(
                f"{self.name}: {self.changed} of {self.tokens} tokens changed expert where the "
                f"router had a clear preference"
            )
        if 2 * self.apart > self.n:
            found.append(
                f"{self.name}: tokens changed expert at near-ties in {self.apart} of {self.n} "
                f"crops, so that too few are left to measure the drift on"
            )
        return found


def link(name: str, parent: Observation, child: Observation, tolerance: Tolerance) -> Link:
    """Compare two observations of the same crops.

    Raises:
        ConfigError: they differ in the number of crops or in the label range.
    """
    if parent.scores.shape != child.scores.shape or parent.span != child.span:
        raise ConfigError(
            f"{name}: {len(parent.scores)} scores over a range of {parent.span} cannot be "
            f"compared with {len(child.scores)} over {child.span}: compare two forms of one model"
        )
    drift = np.abs(child.scores.astype(np.float64) - parent.scores) / parent.span
    apart: Flags = np.zeros(len(drift), dtype=bool)
    tokens = changed = near_ties = smallest = None
    if parent.trace is not None and child.trace is not None:
        flipped, explained, margin = _flips(parent, parent.trace, child.trace)
        apart = np.asarray(flipped.any(-1) & (explained | ~flipped).all(-1))
        tokens, near_ties = flipped.size, int(explained.sum())
        changed = int(flipped.sum()) - near_ties
        smallest = float(margin.min()) if np.isfinite(margin).all() else None
    rest = ~apart if not apart.all() else apart  # of all crops, and a failure, if none is left
    jump = float(drift[apart].max()) if apart.any() else None
    return Link(
        name,
        child.runtime,
        len(drift),
        float(drift[rest].max()),
        float(np.percentile(drift[rest], 99)),
        float(drift[rest].mean()),
        srocc(parent.scores[rest], child.scores[rest]) if rest.sum() > 1 else math.nan,
        tokens,
        changed,
        near_ties,
        smallest,
        int(apart.sum()),
        jump,
        None if jump is None else jump / parent.crops,
        tolerance,
    )


def _flips(parent: Observation, before: Trace, after: Trace) -> tuple[Flags, Flags, Array]:
    """Tokens ``(n, N)`` whose experts changed, those that a near-tie explains, and all margins.

    The bound takes its error from the crops whose drift is measured. A crop that was computed
    wrongly does not excuse itself.
    """
    ours, theirs = (chosen_experts(trace.logits, parent.top_k) for trace in (before, after))
    flipped = (ours != theirs).any(-1)
    margin, reach = margins(before, parent.top_k)
    calm = ~flipped.any(-1)
    error = input_errors(before, after)[calm].max(initial=_ROUNDING)
    return flipped, flipped & (margin <= error * reach), margin


@dataclass(frozen=True)
class ParityReport:
    """The links of a chain of artifacts; true if every one is within its tolerance.

    Attributes:
        subject: what was compared on what.
        links: in the order of the chain.
    """

    subject: str
    links: tuple[Link, ...]

    def __bool__(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """The failures of every link."""
        return [failure for link in self.links for failure in link.failures]

    def to_dicts(self) -> tuple[dict[str, Any], ...]:
        """One plain record per link, for a manifest; NaN becomes None, since JSON has no NaN."""
        records = [dataclasses.asdict(link) for link in self.links]
        for record in records:
            for key, value in record.items():
                if isinstance(value, float) and not math.isfinite(value):
                    record[key] = None
        return tuple(records)

    def __str__(self) -> str:
        rows = [_HEADER, *(_row(link) for link in self.links)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines.insert(0, f"{self.subject}; drift as a share of the label range")
        return "\n".join(lines + [f"FAILED  {failure}" for failure in self.failures])


_HEADER = (
    *("link", "n", "max", "p99", "mean"),
    *("SROCC", "experts changed", "near-ties", "margin", "", "arithmetic"),
)


def _row(link: Link) -> tuple[str, ...]:
    changed = "not visible"
    if link.tokens is not None:
        changed = f"{link.changed} of {link.tokens}"
    apart = "-"
    if link.apart:
        apart = f"{link.near_ties} in {link.apart} crops: {link.apart_drift:.1e} a crop"
        apart += f", {link.apart_drift_image:.1e} an image"
    return (
        link.name,
        str(link.n),
        f"{link.max_drift:.1e}",
        f"{link.p99_drift:.1e}",
        f"{link.mean_drift:.1e}",
        f"{link.srocc:.6f}",
        changed,
        apart,
        "-" if link.smallest_margin is None else f"{link.smallest_margin:.1e}",
        "FAILED" if link.failures else "ok",
        link.runtime,
    )
