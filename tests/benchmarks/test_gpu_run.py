"""The processes of a run on a GPU, with `helpers.fake_part` in place of what they measure."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import helpers
from lifeiqa_benchmarks.gpu import __main__ as command
from lifeiqa_benchmarks.gpu import run as run_module
from lifeiqa_benchmarks.gpu.records import read_report
from lifeiqa_benchmarks.gpu.run import Run, Settings


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Runs the whole, and gives its records."""
    monkeypatch.setattr(run_module, "_PART", "helpers.fake_part")
    monkeypatch.setattr(run_module, "installed", lambda module: False)
    monkeypatch.setenv("PYTHONPATH", str(Path(helpers.__path__[0]).parent), prepend=":")

    def go(*networks, minutes=1.0, **more):
        values = {"folder": tmp_path, "device": "cpu", "batches": (2, 1), "seconds": 0.01}
        settings = Settings(**{**values, "networks": networks, "minutes": minutes, **more})
        return read_report(Run(settings).do())

    return go


def of(records, kind):
    return [each for each in records if each["kind"] == kind]


def test_every_part_runs_and_measures_after_what_prepares_it(measure):
    records = measure("one", "two")
    done = [(each["part"], each["network"], each["batches"]) for each in of(records, "done")]
    exports, rest = done[:4], done[4:]

    assert of(records, "error") == []
    assert sorted(exports) == [("export", "one", None)] * 2 + [("export", "two", None)] * 2
    assert [each["precision"] for each in of(records, "done")].count("fp16") == 2
    assert rest == [
        *(("eager", name, "2,1") for name in ("one", "two")),
        *(("compile", name, batch) for batch in ("2", "1") for name in ("one", "two")),
        *(("graphs", name, "2,1") for name in ("one", "two")),
    ]
    kinds = [each["kind"] for each in records]
    assert kinds[0] == "machine"
    assert kinds.index("prepared") == 5  # the exports come before
    assert kinds[-1] == "end"


def test_a_part_that_fails_costs_no_other(measure):
    records = measure("broken", "good", compiled=False)
    (error,) = of(records, "error")

    assert (error["part"], error["network"]) == ("eager", "broken")
    assert error["error"] == "exit status 1: CUDA error: out of memory"
    parts = {(each["part"], each["network"]) for each in of(records, "done")}
    assert {("eager", "good"), ("graphs", "broken"), ("graphs", "good")} <= parts


def test_what_takes_too_long_is_ended_and_the_rest_is_told(measure):
    records = measure("slow", "next", minutes=0.1, compiled=False)
    errors = {(each["part"], each["network"]): each["error"] for each in of(records, "error")}

    assert errors == {
        ("graphs", "slow"): "not measured: the time was up; the process was ended",
        ("graphs", "next"): "not measured: the time was up",
    }
    assert ("eager", "slow") in {(each["part"], each["network"]) for each in of(records, "done")}


def test_a_compiler_that_is_late_costs_no_other(measure, monkeypatch):
    monkeypatch.setattr(run_module, "_PREPARING", 0.05)
    monkeypatch.setattr(run_module, "_COMPILER", 0.2)
    records = measure("late", "good", batches=(1,))
    (prepared,) = of(records, "prepared")
    (error,) = of(records, "error")

    assert prepared["late"] == 1
    assert (error["part"], error["network"], error["batch"]) == ("compile", "late", 1)
    parts = {(each["part"], each["network"]) for each in of(records, "done")}
    assert {("compile", "good"), ("graphs", "late"), ("graphs", "good")} <= parts


def test_the_command_writes_a_report_of_plain_json_and_prints_it(measure, tmp_path):
    arguments = ["--out", str(tmp_path), "--networks", "one", "--batches", "1", "--no-compile"]
    done = CliRunner().invoke(command.main, [*arguments, "--device", "cpu"], catch_exceptions=False)
    records = read_report(tmp_path / "gpu.json")

    assert done.exit_code == 0, done.output
    assert "median of two series" in done.output
    assert json.loads(json.dumps(records)) == records
    assert of(records, "end")[0]["seconds"] > 0
    assert str(tmp_path) not in json.dumps(records)
