"""Training on stored crops: what a batch holds, and that a killed run ends as an unbroken one."""

import dataclasses

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from helpers import runs
from helpers.tiny_network import LABELS, tiny_model, tiny_preprocessing
from lifeiqa.config import Labels
from lifeiqa.data.table import Table
from lifeiqa.errors import ConfigError
from lifeiqa.training import loop
from lifeiqa.training.copies import StoredCrops, qualities
from lifeiqa.training.experiment import run
from lifeiqa.training.part import Part
from lifeiqa.training.recipe import Phase, Recipe
from lifeiqa.training.sampling import Feed
from lifeiqa.training.stored import Stored, StoredWork, augmented

CHANGES = ["stored=true", "copies=2", "frozen.crops=1", "shift=4", "ruined=0.1", "composed=0.3"]


@pytest.fixture(scope="module")
def model():
    return tiny_model(crop_size=96)


def work(folder, model, cache, **changes):
    phase = Phase(name="joint", epochs=1, lr=1.0, unfreeze=("all",), twins=2)
    given = {"batch_size": 4, "copies": 2, "stored": True, "ruined": 0.1, **changes}
    recipe = Recipe(phases=(phase,), **given)
    names = [f"train{n}.png" for n in range(12)]
    table = Table(
        name="train", paths=tuple(folder / n for n in names), scores=tuple(np.linspace(1, 0, 12))
    )
    fed = dataclasses.replace(tiny_preprocessing(model.network), short_side=None, crops="center")
    feed = Feed(table, fed, 96)
    part = Part(model, feed, feed, recipe, phase, Accelerator(cpu=True), 5, LABELS)
    return StoredWork(part, Stored(feed, recipe, cache))


def images_of(work, batch):
    """Back from normalised images to bytes ``(n, S, S, 3)``."""
    scoring = work.part.scoring
    levels = (batch.inputs - scoring.input_bias) / scoring.input_scale
    return levels.permute(0, 2, 3, 1).round().to(torch.uint8)


def test_a_batch_holds_images_and_copies_with_their_targets(folder, model, tmp_path):
    made = work(folder, model, tmp_path, flip=False)
    table, recipe = made.part.learned.table, made.part.recipe
    stored = StoredCrops(made.part.learned.preprocessing, 96, recipe)
    crops = torch.from_numpy(np.stack([stored(path) for path in table.paths]))
    left = qualities(table.paths, 2, recipe)

    batches = list(made.batches(0))

    assert len(batches) == made.steps == 3
    seen = []
    for batch, draws in zip(batches, made.part.epoch(0), strict=True):
        rows = [draw.image for draw in draws]
        seen += rows
        images = images_of(made, batch)
        assert torch.equal(images[:4], crops[rows, 0])
        assert batch.targets.tolist() == pytest.approx([table.scores[row] for row in rows])
        assert batch.copies.shape == (4,)
        for place, row in enumerate(rows[:2]):
            own = table.scores[row]
            matches = [
                n for n in range(2)
                if torch.equal(images[4 + place], crops[row, 1 + 2 * n])
                and torch.equal(images[6 + place], crops[row, 2 + 2 * n])
            ]  # fmt: skip
            ruin = min(0.1, own)
            expected = [[ruin + (own - ruin) * q for q in left[row, n]] for n in matches]
            found = batch.copies[[place, 2 + place]].tolist()
            assert any(found == pytest.approx(each, nan_ok=True) for each in expected)
    assert sorted(seen) == list(range(12))


def test_copies_of_labels_where_lower_is_better_rise(folder, model, tmp_path):
    made = work(folder, model, tmp_path)
    part = made.part
    labels = Labels(dataset="any", low=0.0, high=1.0, direction="lower")
    turned = Part(
        part.scoring, part.learned, part.held, part.recipe, part.phase, part.accelerator, 5, labels
    )

    batch = turned.batch(torch.zeros(8, 1), part.epoch(0)[0], torch.tensor([[0.5, 0.0]] * 2))

    better, worse = batch.copies.chunk(2)
    own = batch.targets[:2]
    ruin = own.clamp(min=0.9)
    assert worse.tolist() == pytest.approx(ruin.tolist())
    assert better.tolist() == pytest.approx(((own + ruin) / 2).tolist())


def test_epochs_differ_and_are_repeatable(folder, model, tmp_path):
    made, again = (work(folder, model, tmp_path, shift=3) for _ in range(2))
    first, second = list(made.batches(0)), list(made.batches(1))

    assert all(
        torch.equal(a, b)
        for one, other in zip(first, again.batches(0), strict=True)
        for a, b in zip(one, other, strict=True)
        if not a.isnan().any()
    )
    assert not torch.equal(first[0].inputs, second[0].inputs)


@pytest.mark.parametrize("shift", [(0, 0), (2, 0), (0, -3), (-4, 1)])
def test_augmented_against_numpy(shift):
    crops = torch.randint(0, 256, (3, 9, 9, 3), dtype=torch.uint8)
    mirrored = torch.tensor([True, False, True])

    found = augmented(crops, mirrored, shift).numpy()

    pad = np.pad(crops.numpy(), ((0, 0), (8, 8), (8, 8), (0, 0)), mode="reflect")
    for own, is_mirrored, given in zip(found, mirrored.tolist(), pad, strict=True):
        source = given[:, ::-1] if is_mirrored else given
        top, left = 8 - shift[0], 8 - shift[1]
        np.testing.assert_array_equal(own, source[top : top + 9, left : left + 9])


def test_a_folder_for_the_crops_must_be_named(folder, tmp_path):
    with pytest.raises(ConfigError, match="stores crops: name a folder for them with --cache"):
        run(runs.experiment(folder, *CHANGES), tmp_path, report=runs.silent)


def test_a_run_that_stops_after_each_epoch_ends_as_an_unbroken_one(folder, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    experiment = runs.experiment(folder, *CHANGES, cache=tmp_path / "cache")
    run(experiment, tmp_path / "whole", report=runs.silent)

    class StoppedError(Exception):
        pass

    save = loop.RunFolder.log

    def stop(self, rows):
        save(self, rows)
        if len(rows) > len(done):
            done.append(len(rows))
            raise StoppedError

    done = []
    monkeypatch.setattr(loop.RunFolder, "log", stop)
    for _ in range(5):
        with pytest.raises(StoppedError):
            run(experiment, tmp_path / "broken", resume=True, report=runs.silent)
    run(experiment, tmp_path / "broken", resume=True, report=runs.silent)

    assert done == [1, 2, 3, 4, 5]
    assert runs.results(tmp_path / "broken") == runs.results(tmp_path / "whole")
