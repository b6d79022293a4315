"""Whether TensorRT-RTX builds for this chip and loads engines for others, with its messages."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from lifeiqa.errors import LifeIQAError
from lifeiqa.runtimes.cuda.driver import cuda_device
from lifeiqa.runtimes.tensorrt.error_log import ErrorLog
from lifeiqa.runtimes.tensorrt.library import LIBRARIES
from lifeiqa.runtimes.tensorrt.session import TensorRTSession
from lifeiqa_benchmarks.gpu.networks import export, onnx_path
from lifeiqa_benchmarks.gpu.records import Records
from lifeiqa_engines import engine_from_onnx

_LIBRARY = LIBRARIES["tensorrt-rtx"]
_TARGETS = ("sm80", "sm89", "sm120")


def measure(network: str, folder: Path, records: Records) -> None:
    """Build for this chip and for others, and load each without and with our own check."""
    trt: Any = _LIBRARY.load("asking it")
    gpu = cuda_device()
    records.add("TensorRT-RTX", version=trt.__version__, gpu=gpu.name, cc=gpu.compute_capability)
    graph = onnx_path(network, "fp16", folder)
    if not graph.is_file():
        export(network, "fp16", folder)
    with records.attempt(part="TensorRT-RTX builds for the chip that is here"):
        words = _built_here(trt, graph)
        records.add("TensorRT-RTX", part="build for the chip that is here", words=words)
    for target in _TARGETS:
        what = {"part": f"an engine for {target}"}
        with records.attempt(**what), tempfile.TemporaryDirectory() as place:
            built = engine_from_onnx(graph, Path(place), runtime=_LIBRARY.name, target=target)
            records.add("TensorRT-RTX", **what, step="load", words=_loaded(trt, built.path))
            records.add("TensorRT-RTX", **what, step="our check", words=_opened(built.path))


def _built_here(trt: Any, graph: Path) -> str:
    errors = ErrorLog(trt)
    builder = errors.make(trt.Builder)
    network = builder.create_network(0)
    parser = errors.make(trt.OnnxParser, network)
    if not parser.parse(graph.read_bytes()):
        return f"the parser refused it: {errors.take()}"
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    shape = tuple(network.get_input(0).shape)[1:]
    profile.set_shape(network.get_input(0).name, (1, *shape), (1, *shape), (1, *shape))
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.CURRENT, 0)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        return f"refused: {errors.take()}"
    loaded = errors.make(trt.Runtime).deserialize_cuda_engine(plan)
    built = f"built, {plan.nbytes} bytes"
    return f"{built}; loaded" if loaded is not None else f"{built}; not loaded: {errors.take()}"


def _loaded(trt: Any, path: Path) -> str:
    errors = ErrorLog(trt)
    engine = errors.make(trt.Runtime).deserialize_cuda_engine(path.read_bytes())
    return f"refused: {errors.take()}" if engine is None else "loaded"


def _opened(path: Path) -> str:
    try:
        TensorRTSession(path).close()
    except LifeIQAError as error:
        return f"{type(error).__name__}: {error}"
    return "opened"
