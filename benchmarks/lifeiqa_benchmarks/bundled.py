"""From raw data to the released models: ``python -m lifeiqa_benchmarks.bundled DATA OUT``.

DATA holds ``biq2021/`` (images/, train.csv, val.csv) and ``kodak/``; it is what ``make bundled``
calls. Stages, in order; a later one needs the results of those before it::

    crops-fast, crops-accurate        every image and its distorted copies, cut once
    teachers-fast, teachers-accurate  predictions for each image by models that did not learn it
    targets                           scores: half human, half those predictions
    fast, accurate                    the models; OUT/fast/fast.safetensors is what is released
    measure                           OUT/measured.json

Each stage goes on where it was killed, at most an epoch before, and ends the same; on a GPU, whose
sums have no fixed order, nearly the same. So a limit of time is one of the caller's: ``timeout 560
python -m ...``, again and again. OUT/log.txt keeps every line with its time, OUT/runs.jsonl every
training that ended.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from lifeiqa.config import Labels
from lifeiqa.data.table import Table, read_table, write_columns
from lifeiqa.errors import LifeIQAError
from lifeiqa.files import atomic_write
from lifeiqa.metrics import srocc

MODELS = ("fast", "accurate")
LABELS = Labels(dataset="BIQ2021", low=0.0, high=1.0)
RECIPE = "mixture"
OF_MODEL = {"fast": ("joint.epochs=8", "refine.epochs=3"), "accurate": ("copies=2",)}
"""What the recipe says otherwise for a model. Crops of 512 pixels take twice the room."""
_TEACHERS = ("frozen.epochs=6", "refine.epochs=0", "refine.warmup=0", "chosen_from=")
OF_TEACHERS = {
    "fast": (*_TEACHERS, "joint.epochs=4"),
    "accurate": (*_TEACHERS, "joint.epochs=3", "joint.twins=8"),
}
"""What it says otherwise for teachers, of whom it is the mean that counts."""
WEIGHT = 0.5
"""Of the teachers in a target."""
STAGES = (
    *(f"{stage}-{model}" for stage in ("crops", "teachers") for model in MODELS),
    *("targets", *MODELS, "measure"),
)


@dataclasses.dataclass(frozen=True)
class Bundle:
    """Where everything is and how much is done at once.

    Attributes:
        data: see the module.
        out: folder of results.
        jobs: trainings at once, of teachers.
        workers: processes that cut and decode.
        images: the first so many of each table; None for all. For a rehearsal.
        changes: ``KEY=VALUE`` settings, after all others.
        folds: of the teachers.
    """

    data: Path
    out: Path
    jobs: int = 1
    workers: int = 0
    images: int | None = None
    changes: tuple[str, ...] = ()
    folds: int = 5

    @property
    def cache(self) -> Path:
        """Folder of stored crops and cached features."""
        return self.out / "cache"

    def table(self, name: str) -> Table:
        """``train`` or ``val``."""
        whole = read_table(self.data / "biq2021" / f"{name}.csv", self.data / "biq2021" / "images")
        return whole if self.images is None else whole.take(range(min(self.images, len(whole))))

    def settings(self, model: str, changes: Sequence[str] = ()) -> Any:
        """Of one model: recipe, network, then changes."""
        from lifeiqa.training import settings

        layers = [settings.layer_named("recipes", RECIPE), settings.layer_named("presets", model)]
        changed = [*OF_MODEL[model], *changes, *self.changes]
        return settings.settings_from_layers([*layers, settings.layer_from_changes(changed)])

    def experiment(self, model: str, table: Table, changes: Sequence[str] = ()) -> Any:
        """Of one model on a table; without validation images."""
        from lifeiqa.training.experiment import Experiment

        return Experiment(
            name=model, settings=self.settings(model, changes), table=table, labels=LABELS,
            workers=self.workers, cache=self.cache,
        )  # fmt: skip

    def say(self, line: str) -> None:
        """A line for people and for the log."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}"
        print(line, file=sys.stderr, flush=True)
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / "log.txt").open("a", encoding="utf-8") as log:
            log.write(line + "\n")


def crops(bundle: Bundle, model: str) -> None:
    """Cut the images to learn from, with their distorted copies."""
    from lifeiqa.config import ModelConfig, Preprocessing
    from lifeiqa.training.copies import StoredCrops
    from lifeiqa.training.store import CropStore

    settings = bundle.settings(model)
    config: ModelConfig = settings.model
    # What the network makes of the crops does not matter here.
    fed = Preprocessing(mean=(0, 0, 0), std=(1, 1, 1), short_side=settings.images.short_side)
    make = StoredCrops(fed, config.crop_size, settings.training)
    store = CropStore(bundle.cache, make.key, make.count, config.crop_size)
    said = [time.monotonic()]

    def report(done: int, total: int) -> None:
        if done == total or time.monotonic() > said[0] + 10:
            said[0] = time.monotonic()
            bundle.say(f"crops-{model}: {done} of {total} images, {make.count} crops each")

    store.fill(bundle.table("train").paths, make, workers=bundle.workers, report=report)


def teachers(bundle: Bundle, model: str) -> None:
    """Predict every image by a model that did not learn it."""
    from lifeiqa.training.crossfit import crossfit

    experiment = bundle.experiment(model, bundle.table("train"), OF_TEACHERS[model])
    if experiment.settings.training.phases[0].cached and bundle.jobs > 1:
        _cache_features(bundle, experiment)  # once, not once for each fold that begins
    out = bundle.out / f"teachers-{model}"
    known = set(out.glob("seed-*/fold-*/report.json"))
    crossfit(
        experiment, out, count=bundle.folds, seeds=1, weight=WEIGHT, jobs=bundle.jobs,
        report=lambda line: bundle.say(f"teachers-{model}: {line}"),
    )  # fmt: skip
    for path in sorted(set(out.glob("seed-*/fold-*/report.json")) - known):
        _note(bundle, f"teachers-{model} {path.parent.name}", path, experiment.settings)


def targets(bundle: Bundle) -> None:
    """Soften the scores by the mean of what the teachers say; keep what each of them said."""
    tables = {}
    for model in MODELS:
        path = bundle.out / f"teachers-{model}" / "targets.csv"
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as stream:
                tables[model] = {row["path"]: row for row in csv.DictReader(stream)}
    if not tables:
        raise LifeIQAError("there are no teachers: run their stages before")
    paths = list(next(iter(tables.values())))
    said = {m: [float(rows[path]["out_of_fold"]) for path in paths] for m, rows in tables.items()}
    human = [float(next(iter(tables.values()))[path]["human"]) for path in paths]
    mean = [sum(each) / len(each) for each in zip(*said.values(), strict=True)]
    soft = [(1 - WEIGHT) * h + WEIGHT * m for h, m in zip(human, mean, strict=True)]
    write_columns(bundle.out / "targets.csv", {"path": paths, "score": soft, "human": human})
    names = [Path(path).name for path in paths]
    columns: dict[str, Any] = {"image_name": names, "MOS": human, **said}
    write_columns(bundle.out / "out_of_fold.csv", columns)
    for model, predicted in said.items():
        bundle.say(f"targets: {model} out of fold SROCC {srocc(predicted, human):.4f}")
    bundle.say(f"targets: mean of them SROCC {srocc(mean, human):.4f}, n {len(human)}")


def final(bundle: Bundle, model: str) -> None:
    """Train a model that is released."""
    from lifeiqa.training.experiment import run

    table = read_table(bundle.out / "targets.csv", None)
    if bundle.images is not None:
        table = table.take(range(min(bundle.images, len(table))))
    table = dataclasses.replace(table, name="train.csv, softened")
    experiment = dataclasses.replace(bundle.experiment(model, table), val=bundle.table("val"))
    out = bundle.out / model
    known = (out / "report.json").is_file()
    run(experiment, out, resume=True, report=lambda line: bundle.say(f"{model}: {line}"))
    if not known:
        _note(bundle, model, out / "report.json", experiment.settings)


def measure(bundle: Bundle) -> None:
    """Agreement on the validation images and on Kodak's distorted ones, of all models there are."""
    from lifeiqa_benchmarks.severity import measured

    found = {}
    for model in MODELS:
        path = bundle.out / model / f"{model}.safetensors"
        if path.is_file():
            found[model] = measured(
                path, bundle.data, bundle.cache, held_out=bundle.settings(model).training.held_out,
                workers=bundle.workers, val=bundle.table("val"),
            )  # fmt: skip
            kept = {k: v for k, v in found[model].items() if k != "kinds"}
            bundle.say(f"measure: {model} {json.dumps(kept)}")
    with atomic_write(bundle.out / "measured.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def _cache_features(bundle: Bundle, experiment: Any) -> None:
    """Extract the features of all images, so that processes find them."""
    import torch

    from lifeiqa.config import Preprocessing
    from lifeiqa.model.network import ScoringModel
    from lifeiqa.training.features import Cache
    from lifeiqa.training.origin import network_of
    from lifeiqa.training.sampling import Feed
    from lifeiqa.training.stored import Stored

    settings = experiment.settings
    network, _ = network_of(settings, None, None)
    fed = Preprocessing(
        mean=network.backbone.mean, std=network.backbone.std,
        short_side=settings.images.short_side, crops=settings.images.crops,
    )  # fmt: skip
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.to(memory_format=torch.channels_last)
    scoring = ScoringModel(network, fed, LABELS).to(device)
    feed = Feed(experiment.table, fed, settings.model.crop_size, bundle.workers)
    stored = Stored(feed, settings.training, bundle.cache)
    Cache(scoring, bundle.cache).get(feed, stored.of_rows, stored.plan)
    torch.cuda.empty_cache()  # the folds, processes of their own, need the memory
    bundle.say(f"{experiment.name}: features of {len(experiment.table)} images are cached")


def _note(bundle: Bundle, name: str, report: Path, settings: Any) -> None:
    """A line of the list of runs."""
    values = json.loads(report.read_text("utf-8"))
    kept = ("measured_on", "n", "train", "srocc", "plcc", "rmse", "seed")
    line = {"run": name, **{key: values[key] for key in kept}, "settings": settings.to_dict()}
    with (bundle.out / "runs.jsonl").open("a", encoding="utf-8") as runs:
        runs.write(json.dumps(line) + "\n")


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--stage", "stages", type=click.Choice(STAGES), multiple=True, help="Default: all.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True)
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True)
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True)
@click.option("--images", type=click.IntRange(12), help="The first so many of each table.")
@click.option("--set", "changes", metavar="KEY=VALUE", multiple=True, help="Any setting.")
def main(
    data: Path,
    out: Path,
    stages: tuple[str, ...],
    jobs: int,
    workers: int,
    folds: int,
    images: int | None,
    changes: tuple[str, ...],
) -> None:
    """Train the bundled models on DATA, with all results in OUT."""
    bundle = Bundle(data, out, jobs, workers, images, changes, folds)
    for stage in [stage for stage in STAGES if not stages or stage in stages]:
        bundle.say(f"{stage}: begun")
        step, _, model = stage.partition("-")
        if step in ("crops", "teachers"):
            {"crops": crops, "teachers": teachers}[step](bundle, model)
        elif step in MODELS:
            final(bundle, step)
        else:
            {"targets": targets, "measure": measure}[step](bundle)
        bundle.say(f"{stage}: done")


if __name__ == "__main__":
    main()
