"""Experiments: the split, the protocol, several seeds, a start from a checkpoint, the cache."""

import dataclasses
import statistics

import pytest
import torch

from helpers import runs
from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.data.split_sampling import make_split
from lifeiqa.data.splits import read_split
from lifeiqa.data.table import read_table
from lifeiqa.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from lifeiqa.evaluation.evaluate import evaluate
from lifeiqa.files import sha256_of
from lifeiqa.metrics import srocc
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.scorer import Scorer
from lifeiqa.training import experiment as training
from lifeiqa.training import features
from lifeiqa.training.experiment import medians, repeat


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """The bootstrap has its own tests, and would take most of the time here."""
    monkeypatch.setattr(
        training, "evaluate", lambda *given, **more: evaluate(*given, **more, resamples=20)
    )


def run(experiment, out, **options):
    return training.run(experiment, out, report=runs.silent, **options)


def names(table):
    return {path.name for path in table.paths}


@pytest.fixture
def trained_on(monkeypatch):
    """The tasks that were trained, in order."""
    tasks, train = [], training.train

    def watched(settings, task, *rest, **options):
        tasks.append(task)
        return train(settings, task, *rest, **options)

    monkeypatch.setattr(training, "train", watched)
    return tasks


@pytest.fixture
def measured_on(monkeypatch):
    """The tables that were evaluated after training, in order."""
    tables, real = [], training.evaluate

    def watched(scorer, table, **options):
        tables.append(table)
        return real(scorer, table, **options)

    monkeypatch.setattr(training, "evaluate", watched)
    return tables


def test_the_honest_protocol_reads_the_test_apart_and_once(
    folder, tmp_path, trained_on, measured_on
):
    report = run(runs.splittable(folder, *runs.FROZEN), tmp_path)

    (task,), (measured,) = trained_on, measured_on
    parts = [names(table) for table in (task.train, task.val, task.test)]
    assert [len(part) for part in parts] == [22, 2, 6]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]
    assert measured is task.test
    assert report == runs.report(tmp_path)
    assert report["protocol"].startswith("honest")
    assert (report["measured_on"], report["n"], report["train"]) == ("test", 6, 22)
    manifest = read_manifest(tmp_path / "tiny.safetensors")
    assert manifest.training["protocol"] == report["protocol"]
    assert manifest.training["val"]["images"] == 2


def test_the_literature_chooses_on_the_test_images(folder, tmp_path, trained_on, measured_on):
    report = run(runs.splittable(folder, *runs.FROZEN, protocol="literature"), tmp_path)

    (task,), (measured,) = trained_on, measured_on
    assert task.val == task.test == measured
    assert (len(task.train), len(task.test)) == (24, 6)
    assert report["protocol"].startswith("literature: the reported epoch is the best on the test")
    manifest = read_manifest(tmp_path / "tiny.safetensors")
    assert manifest.training["protocol"] == report["protocol"]
    # What chose the epoch is what is reported.
    assert report["srocc"] == pytest.approx(manifest.training["chosen"]["val_srocc"])


def test_the_figures_of_a_report_are_those_of_the_model_on_the_images_of_the_split(
    folder, tmp_path
):
    report = run(runs.splittable(folder, *runs.FROZEN), tmp_path)

    table = read_table(folder / "all.csv")
    _, _, test = read_split(tmp_path / "split.json").tables(table)
    with Scorer(tmp_path / "tiny.safetensors") as scorer:
        predicted = [scorer.score(path).value for path in test.paths]
    network, _ = load_checkpoint(tmp_path / "tiny.safetensors")
    assert report["srocc"] == srocc(predicted, test.scores)
    assert report["parameters"] == sum(p.numel() for p in network.parameters())
    behind = [p for name, p in network.named_parameters() if not name.startswith("backbone")]
    assert report["decoder_parameters"] == sum(p.numel() for p in behind)


def test_an_official_split_is_used_and_its_validation_images_are_drawn(
    folder, tmp_path, trained_on
):
    table = read_table(folder / "all.csv")
    official = ("train",) * 18 + ("test",) * 12
    experiment = runs.splittable(folder, *runs.FROZEN)
    run(dataclasses.replace(experiment, table=dataclasses.replace(table, parts=official)), tmp_path)

    (task,) = trained_on
    assert names(task.test) == {path.name for path in table.paths[18:]}
    assert names(task.train) | names(task.val) == {path.name for path in table.paths[:18]}
    assert len(task.val) == 2
    assert read_split(tmp_path / "split.json").method == "official"


def test_a_saved_split_is_taken_as_it_is(folder, tmp_path, trained_on):
    split = make_split(read_table(folder / "all.csv"), seed=99, test=0.5, val=0.3)
    run(runs.splittable(folder, *runs.FROZEN, split=split), tmp_path)

    assert read_split(tmp_path / "split.json") == split
    assert len(trained_on[0].test) == 15


def test_a_share_is_learned_of_the_training_images_alone(folder, tmp_path, trained_on):
    for share in (1.0, 0.4):
        run(runs.splittable(folder, *runs.FROZEN, share=share), tmp_path / str(share))

    whole, part = trained_on
    assert part.val == whole.val
    assert part.test == whole.test
    assert names(part.train) < names(whole.train)
    assert len(part.train) == round(0.4 * len(whole.train))
    assert read_split(tmp_path / "0.4" / "split.json").share == 0.4


def test_a_share_is_learned_also_where_validation_has_its_own_table(folder, tmp_path, trained_on):
    whole = runs.experiment(folder)
    for share in (0.5, 0.75):
        run(runs.experiment(folder, share=share), tmp_path / str(share))

    less, more = (names(task.train) for task in trained_on)
    assert [len(less), len(more)] == [len(whole.table) // 2, len(whole.table) * 3 // 4]
    assert less < more
    assert {names(task.val) == names(whole.val) for task in trained_on} == {True}


def test_several_seeds_differ_in_split_and_weights_and_their_medians_are_reported(folder, tmp_path):
    results = repeat(
        runs.splittable(folder, *runs.FROZEN, "seed=4"), tmp_path, 2, report=runs.silent
    )

    outs = [tmp_path / "seed-4", tmp_path / "seed-5"]
    assert [result["seed"] for result in results] == [4, 5]
    assert results == [runs.report(out) for out in outs]
    splits = [read_split(out / "split.json") for out in outs]
    assert splits[0].test != splits[1].test
    weights = [runs.tensors(out / "tiny.safetensors")["head.score.weight"] for out in outs]
    assert not torch.equal(*weights)
    for figure in ("srocc", "plcc"):
        values = [result[figure] for result in results]
        assert medians(results)[figure] == statistics.median(values)


def test_a_seed_that_is_done_is_not_trained_again(folder, tmp_path, trained_on):
    experiment = runs.splittable(folder, *runs.FROZEN)
    repeat(experiment, tmp_path, 1, report=runs.silent)
    done = list((tmp_path / "seed-0").glob("*.*"))
    before = [path.stat().st_mtime_ns for path in done]

    results = repeat(experiment, tmp_path, 2, resume=True, report=runs.silent)

    assert len(trained_on) == 2
    assert [path.stat().st_mtime_ns for path in done] == before
    assert [result["seed"] for result in results] == [0, 1]


def test_a_folder_is_not_taken_for_an_experiment_that_it_does_not_hold(folder, tmp_path):
    experiment = runs.splittable(folder, *runs.FROZEN)
    run(experiment, tmp_path)
    before = {path.name: sha256_of(path) for path in tmp_path.glob("*.*")}

    with pytest.raises(TrainingError, match="add --resume"):
        run(experiment, tmp_path)
    with pytest.raises(TrainingError, match=r"other settings \(dim = 16; dim = 24\)"):
        run(runs.splittable(folder, *runs.FROZEN, "dim=24"), tmp_path, resume=True)
    with pytest.raises(TrainingError, match="with another split"):
        run(runs.splittable(folder, *runs.FROZEN, share=0.4), tmp_path, resume=True)
    with pytest.raises(TrainingError, match="with another split"):
        run(runs.splittable(folder, *runs.FROZEN, protocol="literature"), tmp_path)

    assert {path.name: sha256_of(path) for path in tmp_path.glob("*.*")} == before


def test_a_split_of_a_run_that_never_began_does_not_outlive_it(folder, tmp_path, trained_on):
    with pytest.raises(CheckpointError, match="no such file of weights"):
        run(runs.splittable(folder, *runs.FROZEN, weights="nowhere.pth"), tmp_path)
    run(runs.splittable(folder, *runs.FROZEN, share=0.4), tmp_path)

    assert read_split(tmp_path / "split.json").share == 0.4
    assert len(trained_on[1].train) < len(trained_on[0].train)


def test_a_run_goes_on_from_a_checkpoint_and_names_it(folder, unbroken, tmp_path):
    start = unbroken / "tiny.safetensors"
    experiment = runs.experiment(
        folder, *runs.FROZEN, "frozen.epochs=1", "frozen.lr=1e-12", "frozen.twins=0",
        weights=None, start=start,
    )  # fmt: skip
    run(experiment, tmp_path)

    manifest = read_manifest(tmp_path / "tiny.safetensors")
    (parent,) = manifest.parents
    assert (parent.file, parent.sha256) == (start.name, sha256_of(start))
    assert manifest.training["backbone_weights"] == start.name
    # At this rate it learns nothing, so that it still is what it went on from.
    ours, theirs = (runs.tensors(out / "tiny.safetensors") for out in (tmp_path, unbroken))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, atol=1e-6, rtol=1e-3, msg=name)


def test_a_checkpoint_of_another_network_is_refused_with_what_differs(folder, unbroken, tmp_path):
    start = unbroken / "tiny.safetensors"
    other = runs.experiment(folder, "dim=24", "mixer=none", start=start)

    with pytest.raises(ConfigError, match=r"another network: mixer gcn -> none, dim 16 -> 24$"):
        run(other, tmp_path)

    assert not (tmp_path / "metrics.jsonl").exists()


def test_seeds_share_the_features_of_a_frozen_backbone(folder, tmp_path, monkeypatch):
    passes, extract = [], features.extract
    monkeypatch.setattr(
        features, "extract", lambda *given: (passes.append(None), extract(*given))[1]
    )
    cache = tmp_path / "cache"
    repeat(runs.experiment(folder, *runs.FROZEN, cache=cache), tmp_path / "cached", 2,
           report=runs.silent)  # fmt: skip
    # Crops to learn, their twins, and the crops of validation: once for both.
    assert len(passes) == len(list(cache.iterdir())) == 3

    repeat(runs.experiment(folder, *runs.FROZEN), tmp_path / "uncached", 2, report=runs.silent)
    for seed in ("seed-0", "seed-1"):
        cached, uncached = (runs.results(tmp_path / way / seed) for way in ("cached", "uncached"))
        assert cached == uncached


def test_a_split_without_validation_images_needs_the_literature(folder, tmp_path):
    split = make_split(read_table(folder / "all.csv"), val=0)

    with pytest.raises(DatasetError, match="no validation images"):
        run(runs.splittable(folder, split=split), tmp_path)
