"""The command `lifeiqa-export`."""

from __future__ import annotations

from pathlib import Path

import click

from lifeiqa.commands import Folder, guarded, model_file
from lifeiqa.errors import ConfigError, require_all
from lifeiqa.flavours import FLAVOURS
from lifeiqa.weights import DEFAULT

_NEEDED = ("torch", "timm", "onnx", "onnxscript", "onnxruntime", "safetensors", "scipy")


@click.command()
@click.argument("checkpoint", default=DEFAULT)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    required=True,
    help="Arithmetic of the graph.",
)
@click.option("-o", "--out", type=Folder, default=Path(), help="Folder of the result.")
@click.option("--batch", type=click.IntRange(1), help="One static batch size; default is dynamic.")
@click.option(
    "--calibration",
    type=Folder,
    help="For int8: a folder of pictures like those to be scored, for the ranges.",
)
@click.option(
    "--parity-images",
    type=Folder,
    help="Measure on the pictures of this folder, not on scikit-image's photographs.",
)
@click.option(
    "--tolerance",
    "changed",
    metavar="LINK=DRIFT",
    multiple=True,
    help="Largest drift of a link, dense, fp32, fp16, int8 or engine, as a share of the range; "
    "or srocc=LOWEST.",
)
@click.option(
    "--engine",
    type=click.Choice(list(FLAVOURS)),
    help="Go on to an engine: for the GPU that is here, or for a --target without one.",
)
@click.option("--target", help="Chip of a TensorRT-RTX engine: sm89.")
@click.option("--keep-failed", is_flag=True, help="Leave the model in place when parity fails.")
@click.version_option(package_name="lifeiqa")
@guarded
def main(
    checkpoint: str,
    precision: str,
    out: Path,
    batch: int | None,
    calibration: Path | None,
    parity_images: Path | None,
    changed: tuple[str, ...],
    engine: str | None,
    target: str | None,
    keep_failed: bool,
) -> None:
    """Export CHECKPOINT, a file or a bundled name, to ONNX and prove what that cost.

    Writes NAME.PRECISION.onnx and its manifest NAME.PRECISION.onnx.json, both or neither, and
    prints the parity report. With --engine an engine and its manifest follow, and where it can run
    here, its line of the report. Exit status 1 when a link exceeds its tolerance.
    """
    require_all(*_NEEDED, extra="export", purpose="lifeiqa-export")
    from lifeiqa.parity import tolerances_with
    from lifeiqa_export.export import export_checkpoint, measured_crops

    if target is not None and engine is None:
        raise ConfigError(f"--target {target} is the chip of an engine: give --engine as well")
    tolerances = tolerances_with(changed)
    if engine is not None:
        from lifeiqa_engines.build import builder_for, refuse_int8

        refuse_int8(precision)
        builder_for(FLAVOURS[engine], target)  # what is missing is said before the work
    source = model_file(checkpoint, ".safetensors")
    exported = export_checkpoint(
        source,
        out,
        precision=precision,  # type: ignore[arg-type]  # click.Choice allows these alone
        batch=batch,
        calibration=calibration,
        images=parity_images,
        tolerances=tolerances,
        keep_failed=keep_failed,
        report=progress,
    )
    click.echo(exported.parity)
    click.echo(f"wrote {exported.path}")
    if engine is None:
        return
    from lifeiqa_engines.build import engine_from_onnx
    from lifeiqa_engines.parity import prove_engine

    built = engine_from_onnx(exported.path, out, flavour=engine, target=target, report=progress)
    proof = prove_engine(
        built,
        source,
        lambda preprocessing, size: measured_crops(preprocessing, size, parity_images),
        tolerances=tolerances,
        keep_failed=keep_failed,
    )
    click.echo(proof)
    click.echo(f"wrote {built.path}")


def progress(line: str) -> None:
    """A line for whoever waits."""
    click.echo(line, err=True)
