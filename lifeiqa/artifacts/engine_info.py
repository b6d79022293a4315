"""What the manifest of an engine says beyond that of its graph, and whether it may run here.

An engine is compiled for one TensorRT, one chip and a few batch sizes. TensorRT reports a mismatch
late, unclearly or not at all. So everything that an engine was built for is written down, and
checked before TensorRT sees a byte of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from lifeiqa.config import require_choice, settings_from_dict
from lifeiqa.errors import ConfigError, EngineMismatchError
from lifeiqa.files import require_plain_name

HardwareCompatibility = Literal["none", "ampere_plus", "same_compute_capability"]
_LARGEST = 2**31 - 1  # a dimension of TensorRT's


@dataclass(frozen=True, kw_only=True)
class BatchProfile:
    """An optimization profile: the batch sizes that a part of an engine was compiled for.

    Attributes:
        minimum: smallest batch.
        optimum: the batch that kernels were chosen for.
        maximum: largest batch.
    """

    minimum: int
    optimum: int
    maximum: int

    def __post_init__(self) -> None:
        sizes = (self.minimum, self.optimum, self.maximum)
        if not all(type(size) is int and 1 <= size <= _LARGEST for size in sizes):
            raise ConfigError(f"batch {self}: sizes are whole numbers of 1 to {_LARGEST}")
        if not self.minimum <= self.optimum <= self.maximum:
            raise ConfigError(f"batch {self}: write MINIMUM:OPTIMUM:MAXIMUM in rising order")

    @classmethod
    def fixed(cls, size: int) -> BatchProfile:
        """A profile of one size."""
        return cls(minimum=size, optimum=size, maximum=size)

    @classmethod
    def parse(cls, text: str) -> BatchProfile:
        """``"8"`` is one size, ``"1:8:32"`` a range.

        Raises:
            ConfigError: it is neither.
        """
        try:
            sizes = [int(part) for part in text.split(":")]
        except ValueError:
            sizes = []
        if len(sizes) == 1:
            sizes *= 3
        if len(sizes) != 3:
            raise ConfigError(f"batch {text!r}: write a size, 8, or a range, 1:8:32")
        return cls(minimum=sizes[0], optimum=sizes[1], maximum=sizes[2])

    @property
    def is_fixed(self) -> bool:
        """Whether it takes only one size."""
        return self.minimum == self.maximum

    def __contains__(self, batch: int) -> bool:
        return self.minimum <= batch <= self.maximum

    def __str__(self) -> str:
        if self.minimum == self.optimum == self.maximum:
            return str(self.minimum)
        return f"{self.minimum}:{self.optimum}:{self.maximum}"


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """An input or output of an engine; a dimension of -1 is the batch."""

    name: str
    type: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """The part of a manifest that only an engine has.

    Attributes:
        runtime: name of the runtime that built it and runs it: ``"tensorrt"``.
        version: of that runtime.
        compute_capability: of the chip it was built for, ``"8.9"``.
        gpu: name of the GPU that it was built on; None when it was built without one.
        driver: release of the driver then.
        profiles: the batch sizes it takes, in the order of its optimization profiles.
        tensors: its inputs and outputs.
        arithmetic: how many tensors inside the network have each type.
        hardware_compatibility: which other chips it runs on.
        version_compatible: whether later TensorRT releases run it.
        refittable: whether its weights can be replaced.
        stripped: whether its weights were left out, to be taken from its parent when it is opened.
    """

    runtime: str
    version: str
    compute_capability: str
    gpu: str | None = None
    driver: str | None = None
    profiles: tuple[BatchProfile, ...]
    tensors: tuple[Tensor, ...]
    arithmetic: dict[str, int] = field(default_factory=dict)
    hardware_compatibility: HardwareCompatibility = "none"
    version_compatible: bool = False
    refittable: bool = False
    stripped: bool = False

    def __post_init__(self) -> None:
        require_plain_name("runtime", self.runtime)
        require_choice(
            "hardware_compatibility", self.hardware_compatibility, get_args(HardwareCompatibility)
        )
        _numbers(self.version, "version")
        _numbers(self.compute_capability, "compute_capability")
        if not self.profiles:
            raise ConfigError("profiles: an engine has at least one batch size")

    @property
    def target(self) -> str:
        """``"sm89"``."""
        return target_of(self.compute_capability)

    def require_version(self, version: str, title: str, rebuild: str) -> None:
        """Refuse to run in another release than the engine was built for.

        Args:
            version: of the runtime that is installed.
            title: name of the runtime, for people.
            rebuild: the command that makes a fitting engine.

        Raises:
            EngineMismatchError: it is not the release that built the engine, nor a later one of a
                version-compatible engine.
        """
        here, built = _numbers(version, "version"), _numbers(self.version, "version")
        if here == built or (self.version_compatible and here > built):
            return
        raise EngineMismatchError(
            f"built by {title} {self.version}, this is {version}. Rebuild: {rebuild}"
        )

    def require_chip(self, compute_capability: str, gpu: str, rebuild: str) -> None:
        """Refuse to run on a chip that the engine was not built for.

        Args:
            compute_capability: of the GPU that is here, ``"9.0"``.
            gpu: its name.
            rebuild: the command that makes a fitting engine.

        Raises:
            EngineMismatchError: the engine does not run on that chip.
        """
        here = _numbers(compute_capability, "compute_capability")
        built = _numbers(self.compute_capability, "compute_capability")
        if here == built or (self.hardware_compatibility == "ampere_plus" and here >= (8, 0)):
            return
        raise EngineMismatchError(
            f"built for {self.target.upper()}, this is {target_of(compute_capability).upper()} "
            f"({gpu}). Rebuild: {rebuild}"
        )

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> EngineInfo:
        """The inverse of `dataclasses.asdict`; unknown names are refused."""
        profiles = tuple(settings_from_dict(BatchProfile, each) for each in values["profiles"])
        tensors = tuple(
            Tensor(name=each["name"], type=each["type"], shape=tuple(each["shape"]))
            for each in values["tensors"]
        )
        return settings_from_dict(cls, {**values, "profiles": profiles, "tensors": tensors})


def target_of(compute_capability: str) -> str:
    """``"8.9"`` -> ``"sm89"``."""
    return "sm" + compute_capability.replace(".", "")


def _numbers(text: str, name: str) -> tuple[int, ...]:
    """``"11.2.0.5"`` -> ``(11, 2, 0, 5)``; what follows the digits of a part is dropped."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]+[^.]*(\.[0-9]+[^.]*)*", text):
        raise ConfigError(f"{name} is {text!r}: numbers with dots are expected")
    return tuple(int(number) for number in re.findall(r"(?:^|\.)([0-9]+)", text))
