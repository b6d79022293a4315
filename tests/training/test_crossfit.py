"""Softened targets: nobody scores an image that it learned."""

import dataclasses
import json

import numpy as np
import pytest

from helpers import runs
from lifeiqa.data.split_sampling import folds, make_split
from lifeiqa.data.table import read_csv, read_table
from lifeiqa.errors import ConfigError
from lifeiqa.training import crossfit as module
from lifeiqa.training import experiment as training
from lifeiqa.training.crossfit import crossfit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return runs.write_inputs(tmp_path_factory.mktemp("inputs"))


def rows_of(path):
    return [row for _, row in read_csv(path)[1]]


def fake_run(predict, seen):
    """In place of a training: notes the split and predicts each image that is tested."""

    def run(experiment, out, *, resume, report):
        assert resume
        seen.append(experiment)
        tested = experiment.table.take(experiment.split.rows(experiment.table)["test"])
        return {"scores": {"predicted": [predict(experiment, path) for path in tested.paths]}}

    return run


def test_each_target_is_the_mean_of_models_that_did_not_learn_the_image(
    folder, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(
        module,
        "run",
        fake_run(lambda e, path: e.settings.training.seed + int(path.stem[3:]) / 10, seen),
    )
    experiment = runs.splittable(folder)

    path = crossfit(experiment, tmp_path, count=3, seeds=2, weight=0.25, report=runs.silent)

    assert [e.settings.training.seed for e in seen] == [0, 0, 0, 1, 1, 1]
    assert [e.split for e in seen[:3]] == folds(experiment.table, 3, seed=0)
    assert [e.split for e in seen[3:]] == folds(experiment.table, 3, seed=1)
    for row, human in zip(rows_of(path), experiment.table.scores, strict=True):
        outside = 0.5 + int(row["path"].rpartition("/all")[2][:-4]) / 10
        assert float(row["out_of_fold"]) == pytest.approx(outside)
        assert float(row["human"]) == human
        assert float(row["score"]) == pytest.approx(0.75 * human + 0.25 * outside)


def test_predictions_beyond_the_range_of_the_labels_are_cut(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "run", fake_run(lambda e, path: 11.0, []))

    path = crossfit(runs.splittable(folder), tmp_path, weight=1.0, report=runs.silent)

    assert {row["score"] for row in rows_of(path)} == {"10.0"}


def test_images_that_choose_or_test_keep_their_scores_and_teach_nothing(
    folder, tmp_path, monkeypatch
):
    seen = []
    monkeypatch.setattr(module, "run", fake_run(lambda e, path: 5.0, seen))
    experiment = runs.splittable(folder)
    split = make_split(experiment.table)

    path = crossfit(dataclasses.replace(experiment, split=split), tmp_path, report=runs.silent)

    rows = split.rows(experiment.table)
    learned = {experiment.table.paths[row] for row in rows["train"]}
    assert all(set(e.table.paths) == learned for e in seen)
    targets = rows_of(path)
    for row in rows["val"] + rows["test"]:
        assert targets[row]["out_of_fold"] == ""
        assert float(targets[row]["score"]) == experiment.table.scores[row]
    assert all(targets[row]["out_of_fold"] == "5.0" for row in rows["train"])
    again = read_table(path)
    assert split.rows(again) == rows  # the saved split fits the softened table


def test_of_an_official_split_the_training_part_is_softened(folder, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(module, "run", fake_run(lambda e, path: 5.0, seen))
    experiment = runs.splittable(folder)
    parts = ("train",) * 20 + ("test",) * 10
    official = dataclasses.replace(experiment.table, parts=parts)

    path = crossfit(dataclasses.replace(experiment, table=official), tmp_path, report=runs.silent)

    assert all(e.table.paths == official.paths[:20] for e in seen)
    assert read_table(path).parts == parts
    assert [row["out_of_fold"] for row in rows_of(path)[20:]] == [""] * 10


def test_trained_models_soften_and_a_second_call_trains_nothing(folder, tmp_path, monkeypatch):
    experiment = runs.splittable(folder, *runs.FROZEN)
    monkeypatch.setattr(training, "train", train := Counted(training.train))

    path = crossfit(experiment, tmp_path, count=2, seeds=1, report=runs.silent)
    text = path.read_text()
    assert crossfit(experiment, tmp_path, count=2, seeds=1, report=runs.silent) == path

    assert train.calls == 2
    assert path.read_text() == text
    outside = {}
    for fold in (1, 2):
        report = json.loads((tmp_path / "seed-0" / f"fold-{fold}" / "report.json").read_text())
        split = json.loads((tmp_path / "seed-0" / f"fold-{fold}" / "split.json").read_text())
        outside |= dict(zip(split["test"], report["scores"]["predicted"], strict=True))
    for row in rows_of(path):
        found = outside[row["path"].rpartition("/")[2]]
        assert float(row["out_of_fold"]) == pytest.approx(np.clip(found, 0, 10))


@pytest.mark.parametrize(
    ("fields", "weight", "message"),
    [
        ({}, 1.5, "weight is 1.5"),
        ({"val": "val.csv"}, 0.5, "leave out --val"),
        ({"protocol": "literature"}, 0.5, "leave out --val, --protocol"),
    ],
)
def test_what_cannot_be_crossfitted_is_refused(folder, tmp_path, fields, weight, message):
    if "val" in fields:
        fields = {"val": read_table(folder / fields["val"])}
    experiment = dataclasses.replace(runs.splittable(folder), **fields)

    with pytest.raises(ConfigError, match=message):
        crossfit(experiment, tmp_path / "out", weight=weight, report=runs.silent)

    assert not (tmp_path / "out").exists()


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *arguments, **options):
        self.calls += 1
        return self.function(*arguments, **options)
