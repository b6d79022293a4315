"""`lifeiqa inspect`, `compare` and `convert`: what is done with model files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from lifeiqa.cli import options
from lifeiqa.cli.shared import File, Folder, guarded
from lifeiqa.errors import ConfigError, require_all
from lifeiqa.weights import model_file


@click.command(epilog="Example: lifeiqa inspect fast")
@click.argument("file")
@click.option(
    "--no-verify",
    is_flag=True,
    help="Accept sums that do not match, and say so. Not for an engine.",
)
@options.as_json
@guarded
def inspect(file: str, no_verify: bool, as_json: bool) -> None:
    """Print the manifest of FILE, a model file or a bundled name, after checking its sha256.

    The lines that begin with "runtime" are not part of it: they list what can run the file on this
    machine and what cannot. The default is what runs it without --runtime and --device.
    """
    from lifeiqa.artifacts.manifest import read_manifest
    from lifeiqa.artifacts.summary import describe
    from lifeiqa.runtimes.selection import runs_with

    path = model_file(file, ".fp32.onnx")
    manifest = read_manifest(path, verify=not no_verify)
    if as_json:
        values = json.loads(manifest.to_json())
        said = {} if manifest.verified else {"verified": False}
        click.echo(json.dumps({**values, **said}, indent=2))
    else:
        click.echo(describe(manifest))
        for line in runs_with(path, manifest):
            click.echo(f"{'runtime':9} {line}")


@click.command(epilog="Example: lifeiqa compare a.fp32.onnx a.fp16.onnx --images photos")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--images", type=Folder, required=True, help="Folder of images to measure on.")
@options.runtime("first", "a")
@options.runtime("second", "b")
@click.option(
    "--as-run", is_flag=True, help="Run FP16 on a CPU as it is, without emulating its rounding."
)
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
    runtime_a: str | None,
    device_a: str | None,
    runtime_b: str | None,
    device_b: str | None,
    as_run: bool,
    changed: tuple[str, ...],
    as_json: bool,
) -> None:
    """Print the parity report of two model files, from A to B.

    Exit status 1 outside the tolerance.

    ONNX models run in ONNX Runtime unless a runtime is named. A and B may be one file in two
    runtimes, which then run it as it comes.
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
        runs=((runtime_a, device_a), (runtime_b, device_b)),
    )
    click.echo(json.dumps(report.to_dicts(), indent=2) if as_json else report)
    sys.exit(0 if report else 1)


@click.command(epilog="Example: lifeiqa convert old.safetensors -o new.safetensors")
@click.argument("source", metavar="CHECKPOINT", type=File)
@click.option("-o", "--out", type=File, required=True, help="The .safetensors file to write.")
@click.option("--dataset", help="Data set that it was trained on.")
@click.option("--label-range", type=(float, float), help="Lowest and highest label.")
@click.option(
    "--direction",
    type=click.Choice(["higher", "lower"]),
    help="Whether a higher or a lower label is a better image.",
)
@click.option("--top-k", type=click.IntRange(1), help="Experts a token.  [default: 2]")
@click.option("--heads", type=click.IntRange(1), help="Attention heads.  [default: 6]")
@guarded
def convert(source: Path, out: Path, **stated: Any) -> None:
    """Turn an older or a published CHECKPOINT into one that this version writes.

    Of a checkpoint of the published code (.pth) the tensors give the network; the options give what
    they cannot show, and the first three are required. A checkpoint of lifeiqa (.safetensors)
    says all of that itself, and takes none of them.
    """
    require_all("torch", "timm", "safetensors", extra="export", purpose="lifeiqa convert")
    _check_stated(source, stated)
    if source.suffix == ".safetensors":
        from lifeiqa.model.checkpoint import rewrite_checkpoint

        manifest = rewrite_checkpoint(source, out)
    else:
        from lifeiqa.config import Labels
        from lifeiqa.model.convert import convert as run

        low, high = stated["label_range"]
        labels = Labels(
            dataset=stated["dataset"],
            low=low,
            high=high,
            direction=stated["direction"],
            normalised=False,
        )
        manifest = run(source, out, labels, top_k=stated["top_k"] or 2, heads=stated["heads"] or 6)
    click.echo(f"wrote {out}: {manifest.config.backbone}, {manifest.config.experts} experts")


def _check_stated(source: Path, stated: dict[str, Any]) -> None:
    """Refuse options about a checkpoint that has a manifest, and require them about one without.

    Raises:
        ConfigError: either.
    """
    options = {f"--{name.replace('_', '-')}": value for name, value in stated.items()}
    if source.suffix == ".safetensors":
        given = [option for option, value in options.items() if value is not None]
        if given:
            raise ConfigError(
                f"{source}: the manifest states what {', '.join(given)} would. Leave them out"
            )
        return
    missing = [
        option
        for option in ("--dataset", "--label-range", "--direction")
        if options[option] is None
    ]
    if missing:
        raise ConfigError(
            f"{source}: the tensors do not show what {', '.join(missing)} states. Give the options"
        )
