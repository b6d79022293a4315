"""The parity chain of an export: PyTorch sparse, dense, gathered, ONNX FP32, FP16 or INT8."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.model.network import ScoringModel
from lifeiqa.parity.observe import Observation, observe
from lifeiqa.parity.report import ParityReport, Tolerance, link
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes.onnxruntime.session import OnnxRuntimeSession
from lifeiqa.runtimes.pytorch.session import PyTorchSession
from lifeiqa_export.half import to_half


def measure_parity(
    *,
    sparse: ScoringModel,
    dense: ScoringModel,
    gathered: ScoringModel,
    manifest: Manifest,
    fp32: Path,
    fp16: Path | None,
    int8: Path | None,
    crops: Pixels,
    subject: str,
    tolerances: Mapping[str, Tolerance],
    report: Callable[[str], None],
) -> ParityReport:
    """Measure every link of the chain on the same crops.

    An FP16 graph is measured three ways, since a CPU does not run it as a GPU does: by PyTorch in
    half precision, by ONNX Runtime with every FP16 tensor really rounded, and as ONNX Runtime runs
    the file on a CPU, where the weights alone are rounded. All three are held to the same
    tolerance.

    Args:
        sparse: the reference.
        dense: its dense form.
        gathered: what was exported: the dense form with its windows gathered, or ``dense`` itself.
        manifest: of the checkpoint.
        fp32: the exported float32 graph.
        fp16: the exported float16 graph, or None.
        int8: the quantised graph, or None.
        crops: uint8 ``(n, S, S, 3)``.
        subject: words for what the crops are.
        tolerances: a `Tolerance` for each of ``dense``, ``fp32``, ``fp16`` and ``int8``.
        report: takes a line for each step begun.
    """
    batch = manifest.batch or 8
    half = dataclasses.replace(manifest, precision="fp16")

    def pytorch(model: ScoringModel, described: Manifest) -> Observation:
        with PyTorchSession(model, described) as session:
            report(f"  running {session.runtime}")
            return observe(session, crops, batch=batch)

    def graph(path: Path, *, rounding: bool = False) -> Observation:
        with OnnxRuntimeSession(path, device="cpu", rounding=rounding) as session:
            report(f"  running {session.runtime}")
            return observe(session, crops, batch=batch)

    reference, last = pytorch(sparse, manifest), pytorch(dense, manifest)
    links = [link("sparse -> dense", reference, last, tolerances["dense"])]
    form = "dense"
    if gathered is not dense:
        parent, last, form = last, pytorch(gathered, manifest), "gathered"
        links.append(link("dense -> gathered", parent, last, tolerances["fp32"]))
    exact = graph(fp32)
    links.append(link(f"{form} -> ONNX FP32", last, exact, tolerances["fp32"]))
    if fp16 is not None:
        allowed = tolerances["fp16"]
        links += [
            link(f"{form} -> PyTorch FP16", last, pytorch(to_half(gathered), half), allowed),
            link("ONNX FP32 -> FP16", exact, graph(fp16, rounding=True), allowed),
            link("ONNX FP32 -> FP16, as run", exact, graph(fp16), allowed),
        ]
    if int8 is not None:
        links.append(link("ONNX FP32 -> INT8", exact, graph(int8), tolerances["int8"]))
    return ParityReport(subject, tuple(links))
