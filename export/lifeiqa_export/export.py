"""The whole of an export: checkpoint in, ONNX file with its manifest out, or nothing."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import onnx

from lifeiqa.artifacts.manifest import Manifest, Parent, write_with_sidecar
from lifeiqa.config import Precision, Preprocessing, require_choice
from lifeiqa.data.images import images_in, parity_crops
from lifeiqa.errors import ConfigError, ParityError
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.network import ScoringModel
from lifeiqa.parity.report import TOLERANCES, ParityReport, Tolerance
from lifeiqa.preprocess.decode import Pixels
from lifeiqa_export.calibration import calibration_from_folder
from lifeiqa_export.chain import measure_parity
from lifeiqa_export.dense import densify
from lifeiqa_export.graph import OPSET, onnx_from_model, set_metadata, store_as_float16
from lifeiqa_export.half import to_half
from lifeiqa_export.photographs import photographs
from lifeiqa_export.sensitivity import Quantisation, quantise
from lifeiqa_export.windows import gather_windows

_TOOLS = ("lifeiqa", "torch", "timm", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Exported:
    """The result of an export: the file, its manifest, the proof, and how INT8 came about."""

    path: Path
    manifest: Manifest
    parity: ParityReport
    quantisation: Quantisation | None = None


def export_checkpoint(
    checkpoint: Path,
    out: Path,
    *,
    precision: Precision,
    batch: int | None = None,
    calibration: Path | None = None,
    images: Path | None = None,
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
    keep_failed: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Export a checkpoint to ``out/NAME.PRECISION.onnx`` with its manifest, and prove parity.

    Args:
        checkpoint: a safetensors checkpoint of lifeiqa.
        out: folder of the result; made when missing.
        precision: arithmetic of the graph.
        batch: the only batch size of a static graph; None for a dynamic one.
        calibration: folder of images like those to be scored; for ``"int8"``, and for it alone.
        images: folder of images to measure on; None takes photographs of scikit-image, each
            in several distorted forms.
        tolerances: what each link may cost.
        keep_failed: leave the model in place even when a link fails.
        report: takes a line for each step begun.

    Raises:
        ParityError: a link exceeds its tolerance; the message holds the whole report. Without
            ``keep_failed`` there is then no model in ``out`` that was not there before.
        ArtifactError: the checkpoint cannot be read.
        ExportError: the network cannot be exported, or INT8 costs it too much.
        ConfigError: a setting is refused, or INT8 and a calibration folder do not come together.
        ImageError, DatasetError: the images cannot be read.
    """
    require_choice("precision", precision, get_args(Precision))
    require_calibration(precision, calibration)
    if batch is not None and batch < 1:
        raise ConfigError(f"batch is {batch}: at least 1 is expected")
    network, parent = load_checkpoint(checkpoint)
    calibrated = None
    if calibration is not None:
        size = network.config.crop_size
        calibrated = calibration_from_folder(calibration, parent.preprocessing, size)
    crops = measured_crops(parent.preprocessing, network.config.crop_size, images)
    forms = "distorted forms of photographs" if images is None else "images"
    subject = f"parity on {len(crops)} crops of {forms}"

    sparse = ScoringModel(network, parent.preprocessing, parent.labels).eval()
    dense = densify(sparse)
    gathered = gather_windows(dense)
    manifest = dataclasses.replace(
        parent,
        kind="onnx",
        batch=batch,
        opset=OPSET,
        parents=(Parent(file=checkpoint.name, sha256=parent.sha256 or ""), *parent.parents),
        tools={**parent.tools, **{name: importlib.metadata.version(name) for name in _TOOLS}},
        files={},
    )
    with tempfile.TemporaryDirectory(prefix="lifeiqa-export-") as folder:
        report(f"exporting {manifest.name} as FP32")
        protos: dict[Precision, onnx.ModelProto] = {"fp32": onnx_from_model(gathered, batch=batch)}
        if precision == "fp32":
            store_as_float16(protos["fp32"])
        if precision == "fp16":
            report(f"exporting {manifest.name} as FP16")
            protos["fp16"] = onnx_from_model(to_half(gathered), batch=batch)
        found = None
        if calibrated is not None:
            found = quantise(
                protos["fp32"],
                calibrated,
                span=parent.labels.span,
                tolerance=tolerances["int8"],
                report=report,
            )
            report(str(found))
            protos["int8"] = found.proto
            manifest = dataclasses.replace(manifest, quantisation=found.to_dict())
        files: dict[Precision, Path] = {}
        for name, proto in protos.items():
            files[name] = Path(folder) / f"{name}.onnx"
            set_metadata(proto, dataclasses.replace(manifest, precision=name))
            onnx.save(proto, files[name])
        report("measuring parity")
        parity = measure_parity(
            sparse=sparse,
            dense=dense,
            gathered=gathered,
            manifest=dataclasses.replace(parent, batch=batch),
            fp32=files["fp32"],
            fp16=files.get("fp16"),
            int8=files.get("int8"),
            crops=crops,
            subject=subject,
            tolerances=tolerances,
            report=report,
        )
    if not parity and not keep_failed:
        raise ParityError(f"nothing was written to {out}.\n{parity}")
    manifest = dataclasses.replace(manifest, precision=precision, parity=parity.to_dicts())
    path = out / f"{manifest.name}.{precision}.onnx"
    exported = Exported(path, _write(path, protos[precision], manifest), parity, found)
    if not parity:
        raise ParityError(f"{path} was kept although it failed.\n{parity}")
    return exported


def require_calibration(precision: str, calibration: Path | None) -> None:
    """Refuse INT8 without images to calibrate on, and such images for anything else."""
    if precision == "int8" and calibration is None:
        raise ConfigError(
            "int8 needs the ranges of real images: name a folder of some, like those to be "
            "scored, with --calibration"
        )
    if precision != "int8" and calibration is not None:
        raise ConfigError(
            f"--calibration {calibration} is for int8: {precision} has no ranges to find. "
            f"Leave it out, or export int8"
        )


def measured_crops(preprocessing: Preprocessing, size: int, images: Path | None) -> Pixels:
    """The crops ``(n, S, S, 3)`` that parity is measured on, see `export_checkpoint`."""
    photos = photographs() if images is None else images_in(images)
    return parity_crops(photos, preprocessing, size, distort=images is None)


def _write(path: Path, proto: onnx.ModelProto, manifest: Manifest) -> Manifest:
    set_metadata(proto, manifest)
    return write_with_sidecar(path, manifest, lambda temporary: onnx.save(proto, temporary))
