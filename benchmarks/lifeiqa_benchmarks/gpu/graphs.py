"""ONNX Runtime's CUDA provider: parity with PyTorch on the same crops, and time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lifeiqa.config import Precision
from lifeiqa.errors import ConfigError, require
from lifeiqa.parity.observe import Observation, observe
from lifeiqa.parity.report import TOLERANCES, Link, ParityReport, link
from lifeiqa.runtimes.base import INPUT, OUTPUT, Session
from lifeiqa.runtimes.onnxruntime.providers import chosen_device
from lifeiqa.runtimes.onnxruntime.session import OnnxRuntimeSession
from lifeiqa.runtimes.pytorch.session import PyTorchSession
from lifeiqa_benchmarks.gpu.clock import device_series, host_series
from lifeiqa_benchmarks.gpu.eager import prepare_torch, random_crops, whole
from lifeiqa_benchmarks.gpu.networks import half_dense_model, onnx_path, sparse_model
from lifeiqa_benchmarks.gpu.records import Records
from lifeiqa_export.export import measured_crops

NAMES: dict[Precision, str] = {"fp16": "ONNX Runtime FP16", "fp32": "ONNX Runtime FP32"}
_SAME = 1e-2
"""In label units: another layout rounds differently; scores of wrong buffers differ far more."""


def measure(
    network: str,
    folder: Path,
    device: str,
    batches: Sequence[int],
    seconds: float,
    records: Records,
) -> None:
    """Parity first, then the time of each form and batch size; every one is a record."""
    prepare_torch()
    measure_parity(network, folder, device, records)
    sparse, _ = sparse_model(network, folder)
    forms = [(precision, name, False) for precision, name in NAMES.items()]
    if not network.startswith("swin"):
        # Convolutions may be faster in another layout, which the session does not use.
        forms.append(("fp16", f"{NAMES['fp16']}, NHWC", True))
    for precision, name, nhwc in forms:
        what: dict[str, Any] = {"network": network, "candidate": name}
        path = onnx_path(network, precision, folder)
        with records.attempt(**what), OnnxRuntimeSession(path, device=device) as session:
            graph = BoundGraph(path, device, nhwc=nhwc)
            # In float32 one size is enough to see the gain of half precision.
            for batch in batches if precision == "fp16" else batches[:1]:
                crops = random_crops(batch, sparse, device)
                with records.attempt(**what, batch=batch):
                    run = graph.bound(crops, session)
                    found = device_series(run, device, seconds=seconds)
                    records.add("time", **what, batch=batch, **found)
                if precision == "fp32" or nhwc:
                    continue
                with records.attempt(**what, batch=batch, part="from host to host"):
                    found = host_series(whole(session, crops), seconds=seconds)
                    records.add("host time", **what, batch=batch, **found)


def measure_parity(network: str, folder: Path, device: str, records: Records) -> None:
    """Drift, rank and experts of every form against PyTorch in float32 on the CPU."""
    sparse, manifest = sparse_model(network, folder)
    crops = measured_crops(manifest.preprocessing, manifest.config.crop_size, None)
    half = dataclasses.replace(manifest, precision="fp16")
    with PyTorchSession(sparse, manifest) as session:
        reference = observe(session, crops)

    def graph(precision: Precision) -> Callable[[], Any]:
        path = onnx_path(network, precision, folder)
        return lambda: OnnxRuntimeSession(path, device=device)

    openers: dict[str, Callable[[], Any]] = {
        "PyTorch FP32": lambda: PyTorchSession(sparse, manifest, device=device),
        "PyTorch FP16": lambda: PyTorchSession(half_dense_model(sparse), half, device=device),
        **{name: graph(precision) for precision, name in NAMES.items()},
    }
    for name, opened in openers.items():
        with records.attempt(network=network, candidate=name, part="parity"), opened() as session:
            kind = "fp32" if session.manifest.precision == "fp32" else "engine"
            child = observe(session, crops)
            result = link(f"PyTorch FP32 on a CPU -> {name}", reference, child, TOLERANCES[kind])
            records.add("parity", network=network, candidate=name, **_values(result, reference))


def _values(result: Link, parent: Observation) -> dict[str, Any]:
    """A link as JSON takes it, without NaN; also its failures, and how far the scores spread."""
    (values,) = ParityReport("", (result,)).to_dicts()
    return {**values, "spread": float(np.ptp(parent.scores)), "failures": result.failures}


class BoundGraph:
    """A graph whose runs go into one stream of PyTorch, on a GPU as replays of a CUDA graph.

    Its provider options are those of `lifeiqa.runtimes.onnxruntime.providers`, and also the stream
    and the layout.

    Args:
        path: of the graph.
        device: ``"cuda"``, or ``"cpu"``, to see that this works.
        nhwc: let the CUDA provider lay convolutions out with the channels last.

    Raises:
        ConfigError: CUDA was to run it and does not.
    """

    def __init__(self, path: Path, device: str, *, nhwc: bool = False) -> None:
        ort: Any = require("onnxruntime", extra="gpu", purpose=f"running {path.name}")
        self._ort = ort
        self._device = device
        chosen_device(ort, device)  # loads the libraries of CUDA, silences the log
        options = ort.SessionOptions()
        options.log_severity_level = 4
        providers: list[Any] = ["CPUExecutionProvider"]
        if device == "cuda":
            # The default stream cannot be captured.
            torch.cuda.set_stream(torch.cuda.Stream())  # type: ignore[no-untyped-call]
            settings = {
                "enable_cuda_graph": "1",
                "use_tf32": "0",
                "user_compute_stream": str(torch.cuda.current_stream().cuda_stream),
            }
            if nhwc:
                settings["prefer_nhwc"] = "1"
            providers = [("CUDAExecutionProvider", settings)]
        self._session: Any = ort.InferenceSession(
            str(path), options, providers=providers, enable_fallback=0
        )
        found = self._session.get_providers()[0]
        if device == "cuda" and found != "CUDAExecutionProvider":
            raise ConfigError(f"CUDA was to run it, and ONNX Runtime took {found}")

    def bound(self, crops: Sequence[torch.Tensor], plain: Session) -> Callable[[int], object]:
        """A run of one batch size through fixed buffers; the copy into them is part of it.

        Args:
            crops: batches that runs take in turn, on the device.
            plain: what the scores must agree with.

        Raises:
            ConfigError: they do not.
        """
        source = crops[0].clone()
        scores = torch.full((len(source),), torch.nan, device=source.device)
        binding, kind = self._session.io_binding(), self._device
        binding.bind_input(INPUT, kind, 0, np.uint8, list(source.shape), source.data_ptr())
        binding.bind_output(OUTPUT, kind, 0, np.float32, [len(source)], scores.data_ptr())
        how = self._ort.RunOptions()
        if kind == "cuda":
            how.add_run_config_entry("gpu_graph_id", str(len(source)))
            # The clock waits for the stream; the call need not.
            how.add_run_config_entry("disable_synchronize_execution_providers", "1")

        def run(number: int) -> object:
            source.copy_(crops[number % len(crops)])
            self._session.run_with_iobinding(binding, how)
            return scores

        for number in (0, 1, 2, 1):  # warm-up, capture, replays
            run(number)
        found = scores.cpu().numpy()
        worst = float(np.abs(found - plain.run(crops[1].cpu().numpy())).max())
        if not worst <= _SAME:
            raise ConfigError(f"runs through fixed buffers are off by {worst:.2e} from plain ones")
        return run
