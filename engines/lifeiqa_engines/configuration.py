"""TensorRT's builder configuration: types, chip, profiles, timing cache, and what is optional."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeiqa.artifacts.engine_info import BatchProfile, HardwareCompatibility
from lifeiqa.errors import ConfigError, EngineBuildError
from lifeiqa.files import atomic_write
from lifeiqa.runtimes.cuda.driver import Device
from lifeiqa.runtimes.tensorrt.library import Library
from lifeiqa_engines.network import Network
from lifeiqa_engines.targets import Target


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What a build may be asked for beyond chip and batch sizes.

    Attributes:
        timing_cache: file that keeps the times of kernels from build to build. TensorRT's version,
            the chip and the driver are added to its name, since times hold for these alone.
        hardware_compatibility: let the engine run on more chips than this one, at some cost.
        version_compatible: let later releases of TensorRT run it. Such an engine carries a runtime
            of its own, and loading it runs that code.
        refit: let its weights be replaced later.
        strip_plan: leave the weights out; they are taken from the ONNX file when it is opened.
        layers: write what TensorRT made of the graph to a second file, ``ENGINE.layers.json``.
    """

    timing_cache: Path | None = None
    hardware_compatibility: HardwareCompatibility = "none"
    version_compatible: bool = False
    refit: bool = False
    strip_plan: bool = False
    layers: bool = False


def refuse_options(library: Library, options: BuildOptions) -> None:
    """Refuse what a TensorRT cannot serve.

    Raises:
        ConfigError: with each option that was asked for in vain, and why it is.
    """
    plain = BuildOptions()
    asked = [
        f"{name} is not for {library.title}: {reason}"
        for name, reason in library.refused.items()
        if getattr(options, name) != getattr(plain, name)
    ]
    if asked:
        raise ConfigError("; ".join(asked))


class Configuration:
    """The configuration of one build.

    Args:
        trt: the module of the TensorRT that builds.
        library: which one that is.
        network: what is built.
        options: everything optional.
    """

    def __init__(self, trt: Any, library: Library, network: Network, options: BuildOptions) -> None:
        self._trt, self._library = trt, library
        self._network, self._options = network, options
        self._config: Any = network.builder.create_builder_config()
        # The router is float32 because a rounding there changes an expert: TF32 would round it.
        self._config.clear_flag(trt.BuilderFlag.TF32)
        if options.version_compatible:
            self._config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        if options.refit:
            self._config.set_flag(trt.BuilderFlag.REFIT)
        if options.strip_plan:
            self._config.set_flag(trt.BuilderFlag.STRIP_PLAN)
        if options.hardware_compatibility != "none":
            level = options.hardware_compatibility.upper()
            self._config.hardware_compatibility_level = getattr(
                trt.HardwareCompatibilityLevel, level
            )
        if options.layers:
            self._config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED

    def aim_at(self, target: Target) -> None:
        """Choose the chip, where it can be chosen."""
        if self._library.ahead_of_time:
            self._config.num_compute_capabilities = 1
            self._config.set_compute_capability(target.member, 0)

    def add_profiles(self, profiles: tuple[BatchProfile, ...]) -> None:
        """Add one optimization profile for each range of batch sizes.

        Raises:
            EngineBuildError: TensorRT refuses one.
        """
        tensor = self._network.input
        crop = tuple(tensor.shape)[1:]
        for profile in profiles:
            each = self._network.builder.create_optimization_profile()
            sizes = (profile.minimum, profile.optimum, profile.maximum)
            each.set_shape(tensor.name, *((size, *crop) for size in sizes))
            if self._config.add_optimization_profile(each) < 0:
                reason = self._network.errors.take()
                raise EngineBuildError(f"batch {profile}: TensorRT refuses the profile: {reason}")

    def load_timing_cache(self, target: Target, gpu: Device | None) -> Path | None:
        """Take the times of earlier builds; gives the file that holds those of this one."""
        path = self._options.timing_cache
        if path is None:
            return None
        driver = gpu.driver if gpu else "no-driver"
        key = f"{self._library.name}-{self._trt.__version__}-{target.name}-{driver}"
        key = re.sub(r"[^\w.-]", "_", key)
        path = path.with_name(f"{path.stem}.{key}{path.suffix}")
        known = path.read_bytes() if path.is_file() else b""
        cache = self._config.create_timing_cache(known)
        if cache is None or not self._config.set_timing_cache(cache, False):
            raise ConfigError(
                f"{path}: TensorRT refuses this timing cache: {self._network.errors.take()}. "
                f"Delete it to begin anew"
            )
        return path

    def save_timing_cache(self, path: Path | None) -> None:
        """Keep the times of this build with those before it."""
        if path is not None:
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                file.write(self._config.get_timing_cache().serialize())

    def build(self) -> Any:
        """The plan, a buffer of bytes.

        Raises:
            EngineBuildError: TensorRT cannot compile the network.
        """
        definition = self._network.definition
        plan = self._network.builder.build_serialized_network(definition, self._config)
        if plan is None:
            raise EngineBuildError(
                f"{self._library.title} {self._trt.__version__} built no engine: "
                f"{self._network.errors.take()}"
            )
        return plan

    def layers_of(self, plan: Any) -> str:
        """What TensorRT made of the graph, as JSON. Loads the plan, which needs its GPU.

        Raises:
            EngineBuildError: the plan cannot be loaded.
        """
        runtime = self._network.errors.make(self._trt.Runtime)
        # A version-compatible plan holds code, which is trusted here: it was built a moment ago.
        runtime.engine_host_code_allowed = self._options.version_compatible
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineBuildError(f"its layers cannot be read: {self._network.errors.take()}")
        inspector = engine.create_engine_inspector()
        text: str = inspector.get_engine_information(self._trt.LayerInformationFormat.JSON)
        return text
