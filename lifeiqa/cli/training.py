"""`lifeiqa train`, `lifeiqa study` and `lifeiqa crossfit`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lifeiqa.cli import options
from lifeiqa.cli.shared import File, Folder, guarded
from lifeiqa.cli.source import Source, source
from lifeiqa.errors import ConfigError, require_all
from lifeiqa.weights import model_file

if TYPE_CHECKING:
    from lifeiqa.training.experiment import Experiment
    from lifeiqa.training.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = [
    source,
    click.option("--label-range", type=(float, float), help="Lowest and highest score of TABLE."),
    click.option("--direction", type=click.Choice(["higher", "lower"]), help="Better, of TABLE."),
    click.option("--labels", metavar="NAME", help="What the scores of TABLE are, for the record."),
    click.option("--val", type=File, help="CSV that chooses the checkpoint; no split then."),
    click.option("--split", type=File, help="A saved split. Default: one from the seed."),
    click.option(
        "--split-by",
        "method",
        type=click.Choice(["random", "reference", "official"]),
        help="Default: official where there is one, else by reference, else random.",
    ),
    click.option("--share", type=click.FloatRange(0, 1, min_open=True), default=1.0,
                 help="Share of the training images that is learned."),
    click.option("--preset", help="Name of a network. Default: swin_base, or that of --from."),
    click.option("--recipe", help="Name or TOML file. Default: the data set's, else frozen."),
    click.option("--protocol", type=click.Choice(["honest", "literature"]), default="honest",
                 show_default=True, help="Who chooses the checkpoint."),
    click.option("--weights", help="Backbone weights: hub, package or a file."),
    click.option("--from", "start", metavar="MODEL", help="A checkpoint to go on from."),
    click.option("--workers", type=click.IntRange(0), default=0, help="Processes that decode."),
    click.option("--cache", type=Folder, help="Keeps features of frozen backbones for other runs."),
    click.option("--set", "changes", metavar="KEY=VALUE", multiple=True, help="Any setting."),
    click.option("-o", "--out", type=Folder, required=True, help="Folder of the run."),
    click.option("--name", default="model", show_default=True, help="Name of the model."),
]  # fmt: skip


def _experiment_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(epilog="Example: lifeiqa train labels.csv --images photos --preset lite0 -o run")
@_experiment_options
@click.option("--repeat", type=click.IntRange(1), help="Runs from so many seeds; their medians.")
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch of the run.")
@options.as_json
@guarded
def train(
    out: Path, repeat: int | None, resume: bool, as_json: bool, **experiment_options: Any
) -> None:
    """Train on a data set or on TABLE.csv, and measure what was held back.

    Settings come from a recipe, a preset and --set, in this order; the run's folder keeps them as
    recipe.toml. Start it under torchrun to train on several devices or machines.
    """
    experiment = _experiment(**experiment_options)
    from lifeiqa.training import experiment as experiments
    from lifeiqa.training.record import is_main

    if repeat is None:
        results = [experiments.run(experiment, out, resume=resume, report=_progress)]
    else:
        results = experiments.repeat(experiment, out, repeat, resume=resume, report=_progress)
    if not is_main():
        return
    for result in results:
        del result["scores"]  # report.json keeps them
    if as_json:
        click.echo(json.dumps(results if repeat else results[0], indent=2))
        return
    for result in results:
        click.echo(
            f"{result['name']} seed {result['seed']} on {result['measured_on']}, n {result['n']}: "
            f"SROCC {result['srocc']:.4f}  PLCC {result['plcc']:.4f}"
        )
    if repeat:
        middle = experiments.medians(results)
        click.echo(f"median of {repeat}: SROCC {middle['srocc']:.4f}  PLCC {middle['plcc']:.4f}")
    click.echo(f"protocol {results[0]['protocol']}")


@click.command(
    epilog="Example: lifeiqa study ablation --dataset koniq --data DIR --preset lite0 -o study"
)
@click.argument("kind", type=click.Choice(["ablation", "pairs", "data", "stages"]))
@_experiment_options
@click.option(
    "--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each network."
)
@guarded
def study(kind: str, out: Path, seeds: int, **experiment_options: Any) -> None:
    """Train the networks of a table of the paper alike, and print it in the paper's form.

    ablation: Tables IV and VI. pairs: Table V. data: Table III. stages: Fig. 2. The same command
    goes on where an earlier one was interrupted.
    """
    experiment = _experiment(**experiment_options)
    from lifeiqa.files import atomic_write
    from lifeiqa.training.study import study as run
    from lifeiqa.training.study import table_of

    results = run(kind, experiment, out, seeds=seeds, report=_progress)
    text = table_of(results, kind)
    with atomic_write(out / f"{kind}.md") as temporary:
        temporary.write_text(text + "\n", "utf-8")
    click.echo(text)


@click.command(epilog="Example: lifeiqa crossfit labels.csv --images photos --preset lite0 -o soft")
@_experiment_options
@click.option(
    "--folds", type=click.IntRange(2), default=5, show_default=True, help="Parts of the images."
)
@click.option(
    "--seeds", type=click.IntRange(1), default=4, show_default=True, help="Models for an image."
)
@click.option(
    "--weight",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Of the models in a target; the human score has the rest.",
)
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Models trained at once."
)
@guarded
def crossfit(
    out: Path, folds: int, seeds: int, weight: float, jobs: int, **experiment_options: Any
) -> None:
    """Soften human scores by models that did not learn the image, for `train` to learn from.

    OUT/targets.csv has the softened scores. With few images, a network that learns them agrees
    better with people than one that learns the scores themselves. The same command goes on where
    an earlier one was interrupted.
    """
    experiment = _experiment(**experiment_options)
    from lifeiqa.training.crossfit import crossfit as run

    targets = run(
        experiment, out, count=folds, seeds=seeds, weight=weight, jobs=jobs, report=_progress
    )
    click.echo(targets)


def _progress(line: str) -> None:
    click.echo(line, err=True)


def _experiment(
    source: Source,
    label_range: tuple[float, float] | None,
    direction: Any,
    labels: str | None,
    val: Path | None,
    split: Path | None,
    method: Any,
    share: float,
    preset: str | None,
    recipe: str | None,
    protocol: Any,
    weights: str | None,
    start: str | None,
    workers: int,
    cache: Path | None,
    changes: tuple[str, ...],
    name: str,
) -> Experiment:
    """The data and settings that the options of `train` and `study` name."""
    source.refuse_with_dataset(
        {"--label-range": label_range, "--direction": direction, "--labels": labels, "--val": val}
    )
    if source.dataset is None and label_range is None:
        raise click.UsageError("TABLE.csv needs --label-range LOW HIGH.")
    if start is not None and preset is not None:
        raise click.UsageError("--from brings its network: leave out --preset.")
    if val is not None and (split is not None or method is not None):
        raise click.UsageError("--val leaves nothing to split: leave out --split and --split-by.")
    require_all(
        *("torch", "timm", "safetensors", "accelerate", "tqdm", "scipy"),
        extra="train",
        purpose="training",
    )
    from lifeiqa.config import Labels
    from lifeiqa.data.splits import read_split
    from lifeiqa.training.experiment import Experiment

    images = source.read()
    checkpoint = None if start is None else model_file(start, ".safetensors")
    known = images.labels
    if known is None:
        low, high = label_range or (0.0, 1.0)
        known = Labels(
            dataset=labels or images.name, low=low, high=high, direction=direction or "higher"
        )
    return Experiment(
        name=name,
        settings=_settings(source.dataset, preset, checkpoint, recipe, protocol, changes),
        table=images,
        labels=known,
        val=None if val is None else source.read_alike(val),
        split=None if split is None else read_split(split),
        method=method,
        share=share,
        protocol=protocol,
        weights=weights,
        start=checkpoint,
        workers=workers,
        cache=cache,
    )


def _settings(
    dataset: str | None,
    preset: str | None,
    checkpoint: Path | None,
    recipe: str | None,
    protocol: str,
    changes: tuple[str, ...],
) -> Settings:
    from lifeiqa.training import settings

    if recipe is None:
        known = dataset is not None and dataset.lower() in settings.names_of("recipes")
        recipe = dataset.lower() if known and dataset is not None else "frozen"
    if Path(recipe).suffix == ".toml":
        layer = dict(settings.layer_from_file(Path(recipe)))
    else:
        layer = dict(settings.layer_named("recipes", recipe))
    published = layer.pop("literature", {})
    if not isinstance(published, dict):
        raise ConfigError(f"[literature] is {published!r}: a table is expected")
    layers: list[settings.Layer] = [layer]
    if checkpoint is not None:
        layers.append(settings.layer_from_checkpoint(checkpoint))
    elif preset is not None or "model" not in layer:  # the recipe of a run names its network
        layers.append(settings.layer_named("presets", preset or "swin_base"))
    if protocol == "literature":
        layers.append(published)
    return settings.settings_from_layers([*layers, settings.layer_from_changes(changes)])
