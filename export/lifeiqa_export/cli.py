"""The command `lifeiqa-export`."""

from __future__ import annotations

from pathlib import Path

import click

from lifeiqa.commands import Folder, guarded, model_file
from lifeiqa.errors import require_all
from lifeiqa.weights import DEFAULT

_NEEDED = ("torch", "timm", "onnx", "onnxscript", "onnxruntime", "safetensors", "scipy")


@click.command()
@click.argument("checkpoint", default=DEFAULT)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16"]),
    required=True,
    help="Arithmetic of the graph.",
)
@click.option("-o", "--out", type=Folder, default=Path(), help="Folder of the result.")
@click.option("--batch", type=click.IntRange(1), help="One static batch size; default is dynamic.")
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
    help="Largest drift of a link (dense, fp32, fp16) as a share of the range; or srocc=LOWEST.",
)
@click.option("--keep-failed", is_flag=True, help="Leave the model in place when parity fails.")
@click.version_option(package_name="lifeiqa")
@guarded
def main(
    checkpoint: str,
    precision: str,
    out: Path,
    batch: int | None,
    parity_images: Path | None,
    changed: tuple[str, ...],
    keep_failed: bool,
) -> None:
    """Export CHECKPOINT, a file or a bundled name, to ONNX and prove what that cost.

    Writes NAME.PRECISION.onnx and its manifest NAME.PRECISION.onnx.json, both or neither, and
    prints the parity report. Exit status 1 when a link exceeds its tolerance.
    """
    require_all(*_NEEDED, extra="export", purpose="lifeiqa-export")
    from lifeiqa.parity import tolerances_with
    from lifeiqa_export.export import export_checkpoint

    exported = export_checkpoint(
        model_file(checkpoint, ".safetensors"),
        out,
        precision=precision,  # type: ignore[arg-type]  # click.Choice allows these alone
        batch=batch,
        images=parity_images,
        tolerances=tolerances_with(changed),
        keep_failed=keep_failed,
        report=lambda line: click.echo(line, err=True),
    )
    click.echo(exported.parity)
    click.echo(f"wrote {exported.path}")
