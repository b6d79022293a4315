"""Studies: the rows of the paper's tables, each trained alike, and a table that says so."""

import itertools
import json
import statistics

import pytest

from helpers import runs
from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.data.splits import read_split
from lifeiqa.errors import ConfigError
from lifeiqa.evaluation.evaluate import evaluate
from lifeiqa.training import experiment as training
from lifeiqa.training import study as studies
from lifeiqa.training.study import STUDIES, study, table_of

ONE_EPOCH = [*runs.FROZEN, "frozen.epochs=1", "frozen.twins=0"]
# A row of each: what sets its networks apart from the whole one.
ROWS = {
    "ablation": {
        "GCN -> MHA": {"mixer": "attention"},
        "MoE -> FFN": {"head": "ffn"},
        "vanilla decoder": {"mixer": "attention", "head": "ffn"},
        "w/o stage3": {"memory_stage": None},
        "w/o MoE": {"head": "none"},
        "w/o GCN": {"mixer": "none"},
        "GAP + linear": {"mixer": "none", "memory_stage": None, "depth": 0, "head": "none"},
        "Life-IQA": {},
    },
    "pairs": {
        "Stage2 <-> Stage1": {"query_stage": 2, "memory_stage": 1},
        "Stage3 <-> Stage1": {"query_stage": 3, "memory_stage": 1},
        "Stage3 <-> Stage2": {"query_stage": 3, "memory_stage": 2},
        "Stage4 <-> Stage1": {"query_stage": 4, "memory_stage": 1},
        "Stage4 <-> Stage2": {"query_stage": 4, "memory_stage": 2},
        "Stage4 <-> Stage3 (Life-IQA)": {"query_stage": 4, "memory_stage": 3},
    },
    "data": {"20%": {}, "40%": {}, "60%": {}, "100%": {}},
    "stages": {
        **{
            f"GAP + linear, stage {stage}": {
                "mixer": "none", "memory_stage": None, "depth": 0, "head": "none",
                "query_stage": stage,
            }
            for stage in range(5)
        },
        "Life-IQA": {},
    },
}  # fmt: skip


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    monkeypatch.setattr(
        training, "evaluate", lambda *given, **more: evaluate(*given, **more, resamples=20)
    )
    monkeypatch.setattr(studies, "_RESAMPLES", 20)


def cells(markdown):
    """The header and the rows of a Markdown table, and what stands below it."""
    table, _, below = markdown.partition("\n\n")
    lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
    header, rule, *body = lines
    assert all(set(cell) == {"-"} for cell in rule)
    assert {len(line) for line in lines} == {len(header)}
    return header, body, below


@pytest.mark.parametrize("kind", STUDIES)
def test_a_study_trains_its_rows_and_its_table_holds_what_the_reports_hold(folder, tmp_path, kind):
    said = []
    experiment = runs.splittable(folder, *ONE_EPOCH, cache=tmp_path / "cache")
    results = study(kind, experiment, tmp_path / "out", seeds=2, report=said.append)

    assert [row.label for row, _ in results] == list(ROWS[kind])
    assert [line for line in said if line.startswith(kind)] == [f"{kind}: {n}" for n in ROWS[kind]]
    whole = experiment.settings.model.to_dict()
    folders = {path.parent.parent for path in (tmp_path / "out").glob("*/*/report.json")}
    trained = {}
    for path in folders:
        outs = sorted(path.iterdir())
        assert [out.name for out in outs] == ["seed-0", "seed-1"]
        trained[json.dumps([runs.report(out) for out in outs])] = outs
    assert len(folders) == len(trained) == len(results)
    header, body, below = cells(table_of(results, kind))
    for (row, found), line in zip(results, body, strict=True):
        outs = trained[json.dumps(found)]
        for out in outs:
            config = read_manifest(out / "tiny.safetensors").config
            assert config.to_dict() == whole | ROWS[kind][row.label], row.label
        reports = [runs.report(out) for out in outs]
        written = dict(zip(header, line, strict=True))
        assert line[0] == row.label
        for figure in ("srocc", "plcc"):
            middle = statistics.median(report[figure] for report in reports)
            assert written[figure.upper()] == f"{middle:.4f}"
        assert written["decoder parameters"] == f"{reports[0]['decoder_parameters']:,}"
    assert below.startswith("2 seeds, n 6 (test); protocol honest")


def test_the_rows_on_less_data_are_nested_and_share_what_they_are_tested_on(folder, tmp_path):
    study("data", runs.splittable(folder, *ONE_EPOCH), tmp_path, seeds=1, report=runs.silent)

    splits = [read_split(path) for path in tmp_path.glob("*/seed-0/split.json")]
    splits.sort(key=lambda split: split.share)
    assert [split.share for split in splits] == [0.2, 0.4, 0.6, 1.0]
    assert [len(split.train) for split in splits] == [4, 9, 13, 22]
    for less, more in itertools.pairwise(splits):
        assert set(less.train) < set(more.train)
        assert (less.val, less.test) == (more.val, more.test)


def test_a_study_goes_on_where_it_was_interrupted(folder, tmp_path, monkeypatch):
    experiment = runs.splittable(folder, *ONE_EPOCH)
    trained, train = [], training.train

    def interrupted(*given, **options):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(given[2])
        return train(*given, **options)

    monkeypatch.setattr(training, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study("data", experiment, tmp_path, seeds=2, report=runs.silent)
    first, trained[:] = list(trained), ["before"] * 4  # no further interruption
    results = study("data", experiment, tmp_path, seeds=2, report=runs.silent)

    again = trained[4:]
    assert len(first) == 3
    assert len(again) == 5
    assert not set(first) & set(again)
    assert [len(found) for _, found in results] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("kind", "change", "complaint"),
    [
        ("ablation", "memory_stage=none", r"row 'w/o GCN' of the study ablation: depth 1 with mix"),
        # Its memory is 4 x 4 at this crop size, which the network alone knows.
        ("ablation", "grid=5", r"row 'GCN -> MHA' of the study ablation: grid 5 exceeds the att"),
    ],
)
def test_a_row_that_cannot_be_made_is_refused_before_any_is_trained(
    folder, tmp_path, kind, change, complaint
):
    with pytest.raises(ConfigError, match=complaint):
        study(kind, runs.splittable(folder, *ONE_EPOCH, change), tmp_path, seeds=2, report=print)

    assert not list(tmp_path.iterdir())


def test_a_row_whose_backbone_lacks_what_a_phase_unfreezes_is_refused_beforehand(folder, tmp_path):
    # In this family, what lies behind the deepest stage asked for is not built.
    experiment = runs.splittable(
        folder, "backbone=test_convnext", "joint.unfreeze=stages_3", weights=None
    )

    with pytest.raises(ConfigError, match=r"row 'Stage2 <-> Stage1' of .* unfreezes stages_3"):
        study("pairs", experiment, tmp_path, seeds=1, report=runs.silent)

    assert not list(tmp_path.iterdir())
