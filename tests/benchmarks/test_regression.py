"""Two reports compared: what counts as worse."""

import dataclasses

import pytest

from helpers import reports
from lifeiqa_benchmarks.regression import compare_reports


def worse(old, new):
    found = compare_reports(reports.report(old), reports.report(new))
    assert bool(found) == (not any(change.worse for change in found.changes))
    return [change.what for change in found.changes if change.worse]


def test_the_same_report_is_not_worse_than_itself():
    assert worse(reports.result(), reports.result()) == []


def test_slower_beyond_both_intervals_is_worse():
    assert worse(reports.result(times=2.0), reports.result(times=1.8)) == [
        "fast, batch 1, speedup",
        "fast, batch 8, speedup",
    ]


def test_faster_is_not_worse():
    assert worse(reports.result(times=2.0), reports.result(times=2.5)) == []


def test_slower_within_the_intervals_is_noise():
    old = reports.result(times=2.0)
    timings = [dataclasses.replace(t, ratio=reports.ratio(1.8, 0.25)) for t in old.timings]

    assert worse(old, dataclasses.replace(old, timings=tuple(timings))) == []


def test_a_small_change_is_none_however_narrow_the_intervals():
    narrow = [
        dataclasses.replace(
            reports.result(),
            timings=tuple(
                dataclasses.replace(t, ratio=reports.ratio(times, 1e-4))
                for t in reports.result().timings
            ),
        )
        for times in (2.0, 1.95)
    ]

    assert worse(*narrow) == []


@pytest.mark.parametrize(("drift", "found"), [(1.9e-3, []), (2.1e-3, ["fast, drift"])])
def test_twice_the_drift_is_worse(drift, found):
    assert worse(reports.result(drift=1e-3), reports.result(drift=drift)) == found


def test_a_rounding_more_is_not():
    assert worse(reports.result(drift=1e-8), reports.result(drift=5e-7)) == []


@pytest.mark.parametrize(("peak", "found"), [(540e6, []), (560e6, ["fast, peak memory"])])
def test_a_tenth_more_memory_is_worse(peak, found):
    assert worse(reports.result(peak=500e6), reports.result(peak=peak)) == found


def test_a_candidate_that_fails_now_is_worse():
    lost = reports.result(timings=(), failed="it fell over")

    assert worse(reports.result(), lost) == ["fast"]
    assert worse(lost, lost) == []


def test_what_cannot_be_compared_is_noted():
    old = reports.report(reports.result("gone"))
    machine = {**reports.MACHINE, "cpu": "Another CPU"}
    new = reports.report(reports.result("come"), machine=machine)
    found = compare_reports(old, new)

    assert found
    assert found.notes == (
        "cpu: A CPU -> Another CPU",
        "gone is not in the new report",
        "come is not in the old report",
    )
    assert str(found).startswith("note   cpu: A CPU -> Another CPU\n")
