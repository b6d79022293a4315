"""The command `lifeiqa-export`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
from click.core import ParameterSource

from lifeiqa.cli.shared import Folder, guarded
from lifeiqa.errors import ConfigError, require_all
from lifeiqa.runtimes.tensorrt.library import LIBRARIES
from lifeiqa.weights import DEFAULT, model_file

_EXPORTED = (".onnx", ".engine")
_NEEDED = ("torch", "timm", "onnx", "onnxscript", "onnxruntime", "safetensors", "scipy")


@click.command(epilog="Example: lifeiqa-export fast --precision fp16 -o exported")
@click.argument("checkpoint", default=DEFAULT)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8"]),
    help="Arithmetic of the graph; for a checkpoint it has to be given.",
)
@click.option("-o", "--out", type=Folder, default=Path(), help="Folder of the result.")
@click.option("--batch", type=click.IntRange(1), help="One static batch size; default is dynamic.")
@click.option(
    "--calibration",
    type=Folder,
    help="For int8: a folder of images like those to be scored, for the ranges.",
)
@click.option(
    "--parity-images",
    type=Folder,
    help="Measure on the images of this folder, not on scikit-image's photographs.",
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
    type=click.Choice(list(LIBRARIES)),
    help="Go on to an engine: for the GPU that is here, or for a --target without one.",
)
@click.option("--target", help="Chip of a TensorRT-RTX engine: sm89.")
@click.option(
    "--triton",
    "repository",
    type=Folder,
    help="Also put the results into this model repository of Triton Inference Server.",
)
@click.option("--keep-failed", is_flag=True, help="Leave the model in place when parity fails.")
@click.version_option(package_name="lifeiqa")
@guarded
def main(
    checkpoint: str,
    precision: str | None,
    out: Path,
    batch: int | None,
    calibration: Path | None,
    parity_images: Path | None,
    changed: tuple[str, ...],
    engine: str | None,
    target: str | None,
    repository: Path | None,
    keep_failed: bool,
) -> None:
    """Export CHECKPOINT, a file or a bundled name, to ONNX and prove what that cost.

    Writes NAME.PRECISION.onnx and its manifest NAME.PRECISION.onnx.json, both or neither, and
    prints the parity report. With --engine an engine and its manifest follow, and where it can run
    here, its line of the report. With --triton CHECKPOINT may also be an .onnx or .engine file,
    which is put into the repository as it is. Exit status 1 when a link exceeds its tolerance.
    """
    if repository is not None and Path(checkpoint).suffix in _EXPORTED:
        refuse_options_of_an_export(checkpoint)
        put_into(repository, Path(checkpoint))
        return
    if precision is None:
        raise ConfigError(f"exporting {checkpoint} needs --precision fp32, fp16 or int8")
    require_all(*_NEEDED, extra="export", purpose="lifeiqa-export")
    from lifeiqa.artifacts.manifest import read_manifest
    from lifeiqa.parity.report import tolerances_with
    from lifeiqa_export.export import export_checkpoint, measured_crops
    from lifeiqa_export.triton import require_full_tensorrt, require_place
    from lifeiqa_export.triton_config import PROFILES

    if target is not None and engine is None:
        raise ConfigError(f"--target {target} is the chip of an engine: give --engine as well")
    tolerances = tolerances_with(changed)
    source = model_file(checkpoint, ".safetensors")
    # What is missing or in the way is said before the work.
    if engine is not None:
        from lifeiqa_engines.build import builder_for, refuse_int8

        refuse_int8(precision)
        if repository is not None:
            require_full_tensorrt(engine)
        builder_for(LIBRARIES[engine], target)
    if repository is not None:
        planned = dataclasses.replace(read_manifest(source), kind="onnx", batch=batch)
        require_place(planned, repository)
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
    results = [exported.path]
    if engine is not None:
        from lifeiqa_engines.build import engine_from_onnx
        from lifeiqa_engines.parity import prove_engine

        built = engine_from_onnx(
            exported.path,
            out,
            runtime=engine,
            target=target,
            profiles=PROFILES if repository is not None and batch is None else None,
            report=progress,
        )
        proof = prove_engine(
            built,
            source,
            lambda preprocessing, size: measured_crops(preprocessing, size, parity_images),
            tolerances=tolerances,
            keep_failed=keep_failed,
        )
        click.echo(proof)
        click.echo(f"wrote {built.path}")
        results.append(built.path)
    if repository is not None:
        put_into(repository, *results)


def put_into(repository: Path, *models: Path) -> None:
    """Add models to a Triton repository, all or none, and say where each is."""
    from lifeiqa.artifacts.manifest import read_manifest
    from lifeiqa_export.triton import require_place, triton_from_model

    manifests = {model: read_manifest(model) for model in models}
    for manifest in manifests.values():
        require_place(manifest, repository)
    for model, manifest in manifests.items():
        served = triton_from_model(model, repository, manifest)
        click.echo(f"wrote {served.path}" if served.added else f"{served.path} holds it already")


def refuse_options_of_an_export(model: str) -> None:
    """Refuse everything but the repository for a model that needs no export.

    Raises:
        ConfigError: an option was given that would have no effect.
    """
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and isinstance(option, click.Option) and option.name != "repository":
            raise ConfigError(
                f"{option.opts[-1]} is for exporting a checkpoint, and {model} is exported "
                f"already: leave it out"
            )


def progress(line: str) -> None:
    """A line for whoever waits."""
    click.echo(line, err=True)
