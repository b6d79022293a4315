"""Chips that an engine can be built for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lifeiqa.artifacts.engine_info import target_of
from lifeiqa.errors import ConfigError
from lifeiqa.runtimes.cuda.driver import Device
from lifeiqa.runtimes.tensorrt.library import Library


@dataclass(frozen=True)
class Target:
    """A chip.

    Attributes:
        name: ``"sm89"``.
        compute_capability: ``"8.9"``.
        member: TensorRT's own value for it; None where a build is for the GPU that is there.
    """

    name: str
    compute_capability: str
    member: Any = None


def target_named(trt: Any, library: Library, name: str | None, gpu: Device | None) -> Target:
    """The chip to build for.

    Args:
        trt: the module of the TensorRT that builds.
        library: which one that is.
        name: ``"sm89"``; None takes the chip of ``gpu``.
        gpu: the GPU that is here, or None.

    Raises:
        ConfigError: the library cannot build for that chip.
    """
    here = None if gpu is None else target_of(gpu.compute_capability)
    wanted = here if name is None else name
    if wanted is None:
        raise ConfigError(f"there is no GPU here: name the chip to build for, {_names(trt)}")
    if library.ahead_of_time:
        member = _members(trt).get(wanted)
        if member is None:
            raise ConfigError(
                f"target {wanted!r}: {library.title} {trt.__version__} builds for {_names(trt)}"
            )
        return Target(wanted, _capability(wanted), member)
    if wanted != here:
        raise ConfigError(
            f"target {wanted!r}: {library.title} builds for the GPU that is there, here {here}. "
            f"Build on a machine with that chip, or with --runtime tensorrt-rtx"
        )
    return Target(wanted, _capability(wanted))


def _members(trt: Any) -> dict[str, Any]:
    """``"sm89"`` -> ``ComputeCapability.SM89``."""
    found = trt.ComputeCapability.__members__.items()
    return {name.lower(): member for name, member in found if re.fullmatch(r"SM\d+", name)}


def _names(trt: Any) -> str:
    return ", ".join(_members(trt))


def _capability(name: str) -> str:
    """``"sm89"`` -> ``"8.9"``, ``"sm120"`` -> ``"12.0"``."""
    digits = name.removeprefix("sm")
    return f"{digits[:-1]}.{digits[-1]}"
