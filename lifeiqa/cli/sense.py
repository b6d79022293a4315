"""`lifeiqa sense`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from lifeiqa.cli import options
from lifeiqa.cli.shared import Folder, guarded, model_file


@click.command()
@click.argument("model")
@click.option("--images", type=Folder, required=True, help="Folder of undistorted photographs.")
@click.option("--kinds", metavar="KIND,...", help="Distortions to measure, in place of the six.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noise.")
@click.option("--crops", metavar="PLAN", help="A crop plan in place of the model's own.")
@click.option(
    "--at-least", type=click.FloatRange(0, 1), help="Exit status 1 below this monotone share."
)
@options.runtime()
@options.threads
@options.as_json
@guarded
def sense(
    model: str,
    images: Path,
    kinds: str | None,
    seed: int,
    crops: str | None,
    at_least: float | None,
    runtime: str | None,
    device: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Distort photographs more and more and see whether MODEL scores them worse and worse.

    Blur, noise, JPEG, JPEG 2000, contrast and colour loss, five levels each; darken is there too.
    Printed are the shares of (image, distortion) pairs that get worse at every step, and of
    single steps that do.
    """
    from lifeiqa.data.images import images_in
    from lifeiqa.evaluation.sense import KINDS
    from lifeiqa.evaluation.sense import sense as run
    from lifeiqa.scorer import Scorer

    path = model_file(model, ".fp32.onnx")
    with Scorer(path, crops=crops, runtime=runtime, device=device, threads=threads) as scorer:
        found = run(
            scorer,
            images_in(images),
            KINDS if kinds is None else kinds.split(","),
            seed=seed,
            report=lambda line: click.echo(line, err=True),
        )
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else found)
    if at_least is not None and found.monotone < at_least:
        click.echo(f"monotone share {found.monotone:.4f} is below {at_least}", err=True)
        sys.exit(1)
