"""From an ONNX file with its manifest to an engine with its own.

Networks are strongly typed: the types of the tensors are those of the graph, so the precision of
an engine is that of its ONNX file and cannot be chosen here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeiqa.artifacts.engine_info import BatchProfile, EngineInfo, Tensor
from lifeiqa.artifacts.manifest import Manifest, Parent, read_manifest, write_with_sidecar
from lifeiqa.errors import ArtifactError, ConfigError, DeviceError
from lifeiqa.files import atomic_write
from lifeiqa.runtimes.cuda.driver import Device, cuda_device
from lifeiqa.runtimes.tensorrt.library import Library, library_named
from lifeiqa_engines.configuration import BuildOptions, Configuration, refuse_options
from lifeiqa_engines.network import Network, load_builder
from lifeiqa_engines.targets import Target, target_named

DEFAULT_PROFILES = tuple(BatchProfile.fixed(size) for size in (1, 8, 32))
"""One image, a small batch, a large one; each compiled for that size alone."""


@dataclass(frozen=True)
class EnginePath:
    """An engine that was built, and its manifest; goes wherever a path does."""

    path: Path
    manifest: Manifest

    def __fspath__(self) -> str:
        return str(self.path)


def engine_from_onnx(
    onnx: Path,
    out: Path,
    *,
    runtime: str = "tensorrt",
    target: str | None = None,
    profiles: Sequence[BatchProfile] | None = None,
    static: int | None = None,
    options: BuildOptions | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> EnginePath:
    """Compile an exported graph to ``out/NAME.PRECISION.RUNTIME.TARGET[.bN].engine``.

    Args:
        onnx: a file of `lifeiqa-export`, with its sidecar.
        out: folder of the result; made when missing.
        runtime: ``"tensorrt"`` builds for the GPU that is here; ``"tensorrt-rtx"`` for ``target``,
            without a GPU.
        target: chip of a TensorRT-RTX engine, ``"sm89"``; None takes that of the GPU that is here.
        profiles: the batch sizes to compile for, one optimization profile each; None takes
            `DEFAULT_PROFILES`, or the one size of a static graph.
        static: one batch size that becomes part of the network, in place of profiles.
        options: everything optional.
        report: takes a line for each step begun.

    Raises:
        ConfigError: an option does not fit the runtime, or batch sizes do not fit the graph.
        ArtifactError: the file is no exported graph, or was changed, or its tensors are not of the
            shape and precision that its manifest states.
        MissingDependencyError: that TensorRT is not installed.
        DeviceError: it needs a GPU, and there is none.
        EngineBuildError: TensorRT cannot parse or compile the graph. Nothing is written.
    """
    options = options or BuildOptions()
    chosen = library_named(runtime)
    refuse_options(chosen, options)
    parent = read_manifest(onnx)
    if parent.kind != "onnx":
        raise ArtifactError(f"{onnx}: its kind is {parent.kind}; engines are built from ONNX files")
    refuse_int8(parent.precision)
    sizes = _batch_sizes(parent, profiles, static)
    trt, chip, gpu = builder_for(chosen, target)

    report(f"parsing {onnx.name} with {chosen.title} {trt.__version__}")
    network = Network(trt, onnx)
    _require_input(onnx, parent, network.tensors[0])
    if static is not None:
        network.input.shape = (static, *tuple(network.input.shape)[1:])
    _require_precision(onnx, parent, network.arithmetic)
    configuration = Configuration(trt, chosen, network, options)
    configuration.aim_at(chip)
    fixed = network.input.shape[0]
    if fixed == -1:  # the batch is open
        configuration.add_profiles(sizes)
    cache = configuration.load_timing_cache(chip, gpu)
    report(f"building for {chip.name}, batch {', '.join(map(str, sizes))}")
    plan = configuration.build()
    configuration.save_timing_cache(cache)
    layers = configuration.layers_of(plan) if options.layers else None

    info = EngineInfo(
        runtime=runtime,
        version=trt.__version__,
        compute_capability=chip.compute_capability,
        gpu=gpu.name if gpu else None,
        driver=gpu.driver if gpu else None,
        profiles=sizes,
        tensors=network.tensors,
        arithmetic=network.arithmetic,
        hardware_compatibility=options.hardware_compatibility,
        version_compatible=options.version_compatible,
        refittable=options.refit or options.strip_plan,
        stripped=options.strip_plan,
    )
    manifest = _manifest(parent, onnx, chosen, info)
    path = out / _file_name(manifest, chosen, chip, fixed)
    manifest = write_with_sidecar(path, manifest, lambda temporary: _write(temporary, plan))
    described = path.with_name(path.name + ".layers.json")
    described.unlink(missing_ok=True)  # that of an engine which is no longer there
    if layers is not None:
        with atomic_write(described) as temporary:
            temporary.write_text(layers, encoding="utf-8")
    return EnginePath(path, manifest)


def builder_for(library: Library, target: str | None) -> tuple[Any, Target, Device | None]:
    """The TensorRT that builds, the chip it builds for, and the GPU that it needs for that.

    Raises:
        MissingDependencyError: that TensorRT is not installed.
        DeviceError: it needs a GPU, and there is none.
        ConfigError: it cannot build for ``target``.
    """
    trt = load_builder(library)
    gpu = None
    if not library.ahead_of_time:
        gpu = cuda_device()
    elif target is None:
        with contextlib.suppress(DeviceError):
            gpu = cuda_device()
    return trt, target_named(trt, library, target, gpu), gpu


def _batch_sizes(
    parent: Manifest, profiles: Sequence[BatchProfile] | None, static: int | None
) -> tuple[BatchProfile, ...]:
    """What the engine will take; refuses what the graph cannot."""
    if static is not None:
        if profiles is not None:
            raise ConfigError(f"static {static} and profiles exclude each other: give one of them")
        sizes: tuple[BatchProfile, ...] = (BatchProfile.fixed(static),)
    elif profiles is not None:
        sizes = tuple(profiles)
    elif parent.batch is not None:
        sizes = (BatchProfile.fixed(parent.batch),)
    else:
        sizes = DEFAULT_PROFILES
    if not sizes:
        raise ConfigError("profiles is empty: an engine has at least one batch size")
    if parent.batch is not None and sizes != (BatchProfile.fixed(parent.batch),):
        raise ConfigError(
            f"batch {', '.join(map(str, sizes))}: this graph was exported for batch "
            f"{parent.batch} alone. Leave the batch away, or export it without --batch"
        )
    return sizes


def refuse_int8(precision: str) -> None:
    """Refuse a graph that TensorRT cannot parse, before it is written or parsed."""
    if precision == "int8":
        raise ConfigError(
            "TensorRT takes no int32 biases, which an int8 graph of lifeiqa-export has: that graph "
            "is for ONNX Runtime and OpenVINO on a CPU. Export fp16 for an engine"
        )


def _require_input(onnx: Path, parent: Manifest, crops: Tensor) -> None:
    """Refuse a file that takes other crops or batches than its manifest, and the engine's, says."""
    size = parent.config.crop_size
    stated = ("uint8", (parent.batch or -1, size, size, 3))
    if (crops.type, crops.shape) != stated:
        raise ArtifactError(
            f"{onnx}: its manifest says {stated[0]} {stated[1]}, and its network takes "
            f"{crops.type} {crops.shape}: export it again with lifeiqa-export"
        )


def _require_precision(onnx: Path, parent: Manifest, arithmetic: dict[str, int]) -> None:
    """Refuse a file whose tensors are of another precision than it is called."""
    half, single = arithmetic.get("float16", 0), arithmetic.get("float32", 0)
    if (half > single) != (parent.precision == "fp16"):
        raise ArtifactError(
            f"{onnx}: its manifest says {parent.precision}, and its network has {half} float16 and "
            f"{single} float32 tensors: export it again with lifeiqa-export"
        )


def _manifest(parent: Manifest, onnx: Path, library: Library, info: EngineInfo) -> Manifest:
    tools = {"lifeiqa": importlib.metadata.version("lifeiqa"), library.name: info.version}
    return dataclasses.replace(
        parent,
        kind="engine",
        engine=info,
        batch=None,
        parents=(Parent(file=onnx.name, sha256=parent.sha256 or ""), *parent.parents),
        tools={**parent.tools, **tools},
        files={},
    )


def _file_name(manifest: Manifest, library: Library, chip: Target, fixed: int) -> str:
    batch = "" if fixed == -1 else f".b{fixed}"
    return f"{manifest.name}.{manifest.precision}.{library.name}.{chip.name}{batch}.engine"


def _write(path: Path, plan: Any) -> None:
    with path.open("wb") as file:
        file.write(plan)
