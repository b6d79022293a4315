"""`lifeiqa monotonicity`."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import click

from lifeiqa.cli import options
from lifeiqa.cli.shared import Folder, guarded
from lifeiqa.errors import ConfigError, require_all
from lifeiqa.weights import model_file


@click.command(epilog="Example: lifeiqa monotonicity fast --images photos")
@click.argument("model")
@click.option("--images", type=Folder, required=True, help="Folder of undistorted photographs.")
@click.option("--kinds", metavar="KIND,...", help="Distortions to measure, in place of the 25.")
@click.option("--exclude", metavar="KIND,...", help="Distortions to leave out.")
@click.option(
    "--short-side",
    type=click.IntRange(0),
    default=384,
    show_default=True,
    help="Reduce larger images to it before they are distorted; 0: keep their size.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of random fields."
)
@click.option("--crops", metavar="PLAN", help="A crop plan in place of the model's own.")
@click.option(
    "--at-least", type=click.FloatRange(0, 1), help="Exit status 1 below this monotone share."
)
@options.runtime()
@options.threads
@options.as_json
@guarded
def monotonicity(
    model: str,
    images: Path,
    kinds: str | None,
    exclude: str | None,
    short_side: int,
    seed: int,
    crops: str | None,
    at_least: float | None,
    runtime: str | None,
    device: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Distort photographs more and more and see whether MODEL scores them worse and worse.

    By default the 25 distortions of KADID-10k at five strengths each, whose severity people
    scored. Printed are, for each and for all: the share of series (an image and a distortion) whose
    score falls at every step; the share of steps that fall where people's opinion falls by 0.3 or
    more; the rank correlation of scores and opinions; and the ruined images with the best scores.
    """
    # A missing package is told now, not after the last image.
    require_all("scipy", extra="evaluation", purpose="lifeiqa monotonicity")
    from lifeiqa.data.images import images_in
    from lifeiqa.evaluation.monotonicity import KINDS, measure_monotonicity
    from lifeiqa.scorer import Scorer

    chosen = list(KINDS) if kinds is None else kinds.split(",")
    for name in exclude.split(",") if exclude else ():
        if name not in chosen:
            raise ConfigError(f"--exclude {name}: not among what is measured ({', '.join(chosen)})")
        chosen.remove(name)
    path = model_file(model, ".fp32.onnx")
    with Scorer(path, crops=crops, runtime=runtime, device=device, threads=threads) as scorer:
        found = measure_monotonicity(
            scorer,
            images_in(images),
            chosen,
            seed=seed,
            short_side=short_side or None,
            progress=lambda line: click.echo(line, err=True),
        )
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else found)
    if at_least is not None and not found.monotone >= at_least:  # NaN, too
        click.echo(f"monotone share {found.monotone:.4f} is below {at_least}", err=True)
        sys.exit(1)


sense = copy.copy(monotonicity)
"""The command's former name."""
sense.name, sense.hidden = "sense", True
