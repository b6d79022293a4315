"""The command `lifeiqa-engine`."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import click

from lifeiqa.artifacts.engine_info import BatchProfile
from lifeiqa.cli.shared import File, Folder, guarded
from lifeiqa.errors import ConfigError
from lifeiqa.runtimes.tensorrt.library import LIBRARIES

runtime_option = click.option(
    "--runtime",
    type=click.Choice(list(LIBRARIES)),
    default="tensorrt",
    show_default=True,
    help="tensorrt builds for the GPU that is here; tensorrt-rtx for any --target, without a GPU.",
)


@click.group()
@click.version_option(package_name="lifeiqa")
def main() -> None:
    """Compile exported graphs to TensorRT engines, or ask whether that would work."""


def refuse_precision(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Say why there is no such option; the value is never used."""
    if value is not None:
        raise click.BadParameter(
            f"{value!r}: an engine has the precision of its ONNX file, since TensorRT builds "
            f"strongly typed networks. Export that file with lifeiqa-export --precision {value}"
        )


@main.command(
    epilog="Example: lifeiqa-engine build model.fp16.onnx --runtime tensorrt-rtx --target sm89"
)
@click.argument("model", metavar="MODEL.onnx", type=File)
@runtime_option
@click.option("--target", "targets", help="Chips of TensorRT-RTX engines, one each: sm86,sm89.")
@click.option(
    "--batch",
    "batches",
    help="Batch sizes, one optimization profile each: 1,8,32; a range is 1:8:32.",
)
@click.option("--static", type=click.IntRange(1), help="One batch size, fixed in the network.")
@click.option("-o", "--out", type=Folder, default=Path(), help="Folder of the result.")
@click.option(
    "--parity-images",
    type=Folder,
    help="Compare it with MODEL.onnx on these images, where it can run.",
)
@click.option(
    "--timing-cache",
    type=File,
    help="Keep kernel times here; version, chip and driver are added to the name.",
)
@click.option(
    "--hardware-compatibility",
    type=click.Choice(["none", "ampere_plus", "same_compute_capability"]),
    default="none",
    help="Let the engine run on other chips too.",
)
@click.option("--version-compatible", is_flag=True, help="Let later TensorRT releases run it.")
@click.option("--refit", is_flag=True, help="Let its weights be replaced.")
@click.option("--strip-plan", is_flag=True, help="Leave its weights to the ONNX file beside it.")
@click.option("--layers", is_flag=True, help="Also write what became of the graph, as JSON.")
@click.option(
    "--precision", callback=refuse_precision, expose_value=False, hidden=True, is_eager=True
)
@guarded
def build(
    model: Path,
    runtime: str,
    targets: str | None,
    batches: str | None,
    static: int | None,
    out: Path,
    parity_images: Path | None,
    **optional: Any,
) -> None:
    """Compile MODEL.onnx, a file of lifeiqa-export, to an engine with its manifest.

    The precision is that of the file: there is no switch for it. Exit status 1 when the engine
    drifts by more than its tolerance; it is then removed.
    """
    from lifeiqa.data.images import images_in, parity_crops
    from lifeiqa_engines.build import builder_for, engine_from_onnx
    from lifeiqa_engines.configuration import BuildOptions
    from lifeiqa_engines.parity import prove_engine

    profiles = None
    if batches is not None:
        profiles = [BatchProfile.parse(text) for text in batches.split(",")]
    images = None if parity_images is None else images_in(parity_images)
    names = _names(targets)
    for target in names:
        builder_for(LIBRARIES[runtime], target)  # all of them can be built, or none is
    for target in names:
        engine = engine_from_onnx(
            model,
            out,
            runtime=runtime,
            target=target,
            profiles=profiles,
            static=static,
            options=BuildOptions(**optional),
            report=lambda line: click.echo(line, err=True),
        )
        if images is not None:
            crops_for = functools.partial(parity_crops, images, distort=False)
            click.echo(prove_engine(engine, model, crops_for))
        size = engine.path.stat().st_size
        click.echo(f"wrote {engine.path} ({size / 1e6:.1f} MB, {engine.manifest.precision})")


@main.command(epilog="Example: lifeiqa-engine check model.onnx --runtime tensorrt-rtx")
@click.argument("model", metavar="MODEL.onnx", type=File)
@runtime_option
@guarded
def check(model: Path, runtime: str) -> None:
    """Say whether TensorRT's parser takes MODEL.onnx, any ONNX file, and list what it refuses.

    Exit status 1 when it refuses something.
    """
    from lifeiqa_engines.network import check_onnx

    support = check_onnx(model, runtime=runtime)
    click.echo(support)
    sys.exit(0 if support else 1)


def _names(targets: str | None) -> list[str | None]:
    if targets is None:
        return [None]
    names = [name.strip().lower() for name in targets.split(",")]
    if not all(names) or len(set(names)) != len(names):
        raise ConfigError(f"--target {targets!r}: name each chip once, as in sm86,sm89")
    return list(names)
