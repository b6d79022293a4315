"""Runs of a tiny network on generated images, for the tests of whole training runs."""

import csv
import dataclasses
import functools
import gc
import itertools
import json
import os
import signal
import tomllib
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image, ImageFilter
from safetensors.torch import load_file, save_file

from lifeiqa.config import Labels
from lifeiqa.data.table import read_table
from lifeiqa.training import experiment as training
from lifeiqa.training.experiment import Experiment, run
from lifeiqa.training.settings import layer_from_changes, settings_from_layers

RECIPE = """
[model]
backbone = "test_efficientnet"
crop_size = 64
queries = 4
dim = 16
heads = 2
depth = 1
expert_hidden = 16
ffn_hidden = 16

[images]
crops = "center"

[training]
batch_size = 4
ema = 0.5
sense = 0.1
rank = 0.1
correlation = 0.1

[phases.frozen]
epochs = 2
lr = 3e-4
crops = 2
twins = 1

[phases.joint]
epochs = 2
lr = 3e-4
unfreeze = ["blocks.1", "blocks.2"]
warmup = 1
twins = 2

[phases.refine]
epochs = 1
lr = 3e-4
sharpen = 2.0
"""
"""Every kind of phase, and every loss."""

FROZEN = ["joint.epochs=0", "joint.warmup=0", "refine.epochs=0"]
"""Changes that leave the frozen phase, which is over in a blink."""

LABELS = Labels(dataset="blur", low=0.0, high=10.0)


def silent(line):
    pass


def write_inputs(folder):
    """Noise of growing blur, whose score is its sharpness; a recipe and weights for a backbone.

    `train.csv` has 12 images and `val.csv` 6; `all.csv` has 30, which are yet to be split.
    """
    generator = np.random.default_rng(0)
    for name, count in (("train", 12), ("val", 6), ("all", 30)):
        rows = []
        for index in range(count):
            noise = generator.integers(0, 256, (80, 90, 3), dtype=np.uint8)
            blur = 4 * index / count
            file = f"{name}{index}.png"
            Image.fromarray(noise).filter(ImageFilter.GaussianBlur(blur)).save(folder / file)
            rows.append((file, round(10 - 2 * blur, 3)))
        write_table(folder / f"{name}.csv", rows)
    (folder / "recipe.toml").write_text(RECIPE)
    torch.manual_seed(0)
    backbone = timm.create_model("test_efficientnet", num_classes=0)
    save_file(backbone.state_dict(), folder / "backbone.safetensors")
    return folder


def write_table(path, rows, header=("image_name", "MOS")):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path


def settings(*changes):
    """The recipe with changes as ``--set`` takes them."""
    return settings_from_layers([tomllib.loads(RECIPE), layer_from_changes(changes)])


def experiment(folder, *changes, **fields):
    """The experiment on `train.csv` and `val.csv`; fields given replace its own."""
    given = Experiment(
        name="tiny",
        settings=settings(*changes),
        table=read_table(folder / "train.csv"),
        val=read_table(folder / "val.csv"),
        labels=LABELS,
        weights=str(folder / "backbone.safetensors"),
    )
    return dataclasses.replace(given, **fields)


def splittable(folder, *changes, **fields):
    """The experiment on `all.csv`, which it splits."""
    return experiment(folder, *changes, table=read_table(folder / "all.csv"), val=None, **fields)


def arguments(folder, out, *more):
    """The command that trains what `experiment` describes."""
    return [
        *("train", str(folder / "train.csv"), "--val", str(folder / "val.csv")),
        *("--label-range", "0", "10", "--labels", "blur", "--recipe", str(folder / "recipe.toml")),
        *("--weights", str(folder / "backbone.safetensors"), "--name", "tiny", "-o", str(out)),
        *map(str, more),
    ]


def epochs(out):
    """The rows of `metrics.jsonl`."""
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def report(out):
    return json.loads((out / "report.json").read_text())


def results(out):
    """All that must not depend on where a run was interrupted: bytes, and the report's values.

    The last digits of a logistic fit depend on where in memory LAPACK finds its matrices.
    """
    names = ("metrics.jsonl", "best.safetensors", "tiny.safetensors")
    text = (out / "report.json").read_text()
    values = json.loads(text, parse_float=lambda digits: round(float(digits), 7))
    return {name: (out / name).read_bytes() for name in names} | {"report.json": values}


def tensors(path):
    return load_file(path)


def run_until_write(folder, out, number):
    """Run or resume, and die by SIGKILL just before the file of this number takes its place.

    For a process of its own. Number 0 never comes; a run that has fewer files ends well.
    """
    gc.freeze()  # what the process was forked with need not be searched again
    torch.set_num_threads(1)
    replace, numbers = Path.replace, itertools.count(1)

    def dying(path, target):
        if next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(path, target)

    Path.replace = dying
    training.evaluate = functools.partial(training.evaluate, resamples=20)  # half of the time
    run(experiment(folder), out, resume=True, report=silent)
