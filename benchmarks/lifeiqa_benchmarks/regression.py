"""Two reports of the same candidates: what got slower, less accurate or heavier beyond noise."""

from __future__ import annotations

from dataclasses import dataclass

from lifeiqa_benchmarks.report import Report, Result
from lifeiqa_benchmarks.table import ratio_words

SLOWER = 0.03
"""A change of speed below this share is not called one, whatever the intervals say."""
HEAVIER = 0.10
"""The same for peak memory, which depends on what the machine had free."""


@dataclass(frozen=True)
class Change:
    """One figure of one candidate in two reports.

    Attributes:
        what: candidate and figure.
        old: in words.
        new: in words.
        worse: beyond noise.
    """

    what: str
    old: str
    new: str
    worse: bool

    def __str__(self) -> str:
        mark = "WORSE" if self.worse else "ok"
        return f"{mark:5}  {self.what}: {self.old} -> {self.new}"


@dataclass(frozen=True)
class Comparison:
    """Every figure that both reports have; true when none is worse.

    Attributes:
        changes: one a figure.
        notes: what makes the two hard to compare: another machine, a candidate that is missing.
    """

    changes: tuple[Change, ...]
    notes: tuple[str, ...]

    def __bool__(self) -> bool:
        return not any(change.worse for change in self.changes)

    def __str__(self) -> str:
        return "\n".join([*(f"note   {note}" for note in self.notes), *map(str, self.changes)])


def compare_reports(old: Report, new: Report) -> Comparison:
    """Compare two reports, candidate by candidate.

    Speed is compared by the ratio to the baseline, which a slow moment of the machine leaves alone:
    it is worse when the two 95 % intervals do not meet and the medians differ by more than
    `SLOWER`. The baseline itself has no ratio, so that its own speed is not judged.
    """
    notes = [
        f"{name}: {old.machine[name]} -> {new.machine[name]}"
        for name in ("cpu", "cores", "flags", "gpu")
        if old.machine[name] != new.machine[name]
    ]
    if old.baseline.name != new.baseline.name:
        notes.append(f"baseline: {old.baseline.name} -> {new.baseline.name}")
    changes: list[Change] = []
    found = {result.name: result for result in new.results}
    for before in old.results:
        after = found.pop(before.name, None)
        if after is None:
            notes.append(f"{before.name} is not in the new report")
        elif after.failed is not None and before.failed is None:
            changes.append(Change(before.name, "measured", f"failed: {after.failed}", worse=True))
        else:
            changes += _changes(before, after)
    notes += [f"{name} is not in the old report" for name in found]
    return Comparison(tuple(changes), tuple(notes))


def _changes(before: Result, after: Result) -> list[Change]:
    changes = []
    for old in before.timings:
        new = after.timing(old.batch)
        if new is None or old.ratio is None or new.ratio is None:
            continue
        slower = new.ratio.median < (1 - SLOWER) * old.ratio.median
        worse = slower and new.ratio.high < old.ratio.low
        what = f"{before.name}, batch {old.batch}, speedup"
        changes.append(Change(what, ratio_words(old), ratio_words(new), worse))
    if before.accuracy is not None and after.accuracy is not None:
        was, now = before.accuracy.max_drift, after.accuracy.max_drift
        # Scores do not depend on the moment: twice the drift, beyond a rounding, is a change.
        worse = now > max(2 * was, 1e-6)
        changes.append(Change(f"{before.name}, drift", f"{was:.1e}", f"{now:.1e}", worse))
    if before.peak_bytes and after.peak_bytes:
        worse = after.peak_bytes > (1 + HEAVIER) * before.peak_bytes
        was, now = before.peak_bytes / 1e6, after.peak_bytes / 1e6
        changes.append(
            Change(f"{before.name}, peak memory", f"{was:.0f} MB", f"{now:.0f} MB", worse)
        )
    return changes
