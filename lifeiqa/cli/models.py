"""`lifeiqa inspect`, `compare` and `convert`: what is done with model files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from lifeiqa.cli import options
from lifeiqa.cli.shared import File, Folder, guarded, model_file
from lifeiqa.errors import require_all


@click.command()
@click.argument("file")
@click.option(
    "--no-verify", is_flag=True, help="Tolerate sums that do not match, and say so. No engine."
)
@options.as_json
@guarded
def inspect(file: str, no_verify: bool, as_json: bool) -> None:
    """Print the manifest of FILE, a model file or a bundled name, after checking its sha256.

    The last line is no part of it: what runs the file on this machine when no --provider is given.
    """
    from lifeiqa.artifacts.manifest import read_manifest
    from lifeiqa.artifacts.summary import describe
    from lifeiqa.runtimes.selection import runs_with

    manifest = read_manifest(model_file(file, ".fp32.onnx"), verify=not no_verify)
    if as_json:
        values = json.loads(manifest.to_json())
        said = {} if manifest.verified else {"verified": False}
        click.echo(json.dumps({**values, **said}, indent=2))
    else:
        click.echo(f"{describe(manifest)}\n{'runs with':9} {runs_with(manifest)}")


@click.command()
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--images", type=Folder, required=True, help="Folder of images to measure on.")
@click.option("--provider-a", type=options.PROVIDERS, help="What runs A, as it comes.")
@click.option("--provider-b", type=options.PROVIDERS, help="What runs B, as it comes.")
@click.option("--as-run", is_flag=True, help="Run FP16 on a CPU as it comes, without rounding.")
@click.option(
    "--tolerance",
    "changed",
    metavar="LINK=DRIFT",
    multiple=True,
    help="fp32, fp16, int8, or srocc=LOWEST.",
)
@options.as_json
@guarded
def compare(
    first: str,
    second: str,
    images: Path,
    provider_a: str | None,
    provider_b: str | None,
    as_run: bool,
    changed: tuple[str, ...],
    as_json: bool,
) -> None:
    """The parity report of two model files, from A to B. Exit status 1 outside the tolerance.

    ONNX models run in ONNX Runtime unless a provider is named: A and B may be one file in two
    runtimes.
    """
    from lifeiqa.data.images import images_in, parity_crops
    from lifeiqa.parity.compare import compare_files
    from lifeiqa.parity.report import tolerances_with

    files = model_file(first, ".fp32.onnx"), model_file(second, ".fp32.onnx")
    report = compare_files(
        *files,
        lambda preprocessing, size: parity_crops(
            images_in(images), preprocessing, size, distort=False
        ),
        tolerances=tolerances_with(changed),
        rounding=not as_run,
        providers=(provider_a, provider_b),
    )
    click.echo(json.dumps(report.to_dicts(), indent=2) if as_json else report)
    sys.exit(0 if report else 1)


@click.command()
@click.argument("source", metavar="PATH.pth", type=File)
@click.option("-o", "--out", type=File, required=True, help="The .safetensors file to write.")
@click.option("--dataset", required=True, help="Data set that it was trained on.")
@click.option("--label-range", type=(float, float), required=True, help="Lowest and highest label.")
@click.option(
    "--direction",
    type=click.Choice(["higher", "lower"]),
    required=True,
    help="Whether a higher or a lower label is a better image.",
)
@click.option(
    "--top-k", type=click.IntRange(1), default=2, show_default=True, help="Experts a token."
)
@click.option(
    "--heads", type=click.IntRange(1), default=6, show_default=True, help="Attention heads."
)
@guarded
def convert(
    source: Path,
    out: Path,
    dataset: str,
    label_range: tuple[float, float],
    direction: Any,
    top_k: int,
    heads: int,
) -> None:
    """Turn a checkpoint of the published code into one of lifeiqa.

    Its tensors give the network; what they cannot show is given by the options.
    """
    require_all("torch", "timm", "safetensors", extra="export", purpose="lifeiqa convert")
    from lifeiqa.config import Labels
    from lifeiqa.model.convert import convert as run

    low, high = label_range
    labels = Labels(dataset=dataset, low=low, high=high, direction=direction, normalised=False)
    manifest = run(source, out, labels, top_k=top_k, heads=heads)
    click.echo(f"wrote {out}: {manifest.config.backbone}, {manifest.config.experts} experts")
