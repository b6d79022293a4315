"""What a runtime is to the rest of lifeiqa: one entry of `lifeiqa.runtimes.registry`.

The standard library only, so that listing the runtimes imports none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args

from lifeiqa.config import Device
from lifeiqa.errors import ConfigError, LifeIQAError

if TYPE_CHECKING:
    from lifeiqa.artifacts.manifest import Manifest
    from lifeiqa.runtimes.base import Session

DEVICES: tuple[str, ...] = get_args(Device)
"""Devices in order of preference."""


@dataclass(frozen=True)
class Availability:
    """Whether a runtime can run on a device of this machine; true when it can.

    Attributes:
        words: what would run, ``"ONNX Runtime 1.32.0 CPU"``; or what is missing, and what to do.
        error: what opening a model would raise; None where the runtime is available.
    """

    words: str
    error: LifeIQAError | None = None

    def __bool__(self) -> bool:
        return self.error is None

    @classmethod
    def of(cls, check: Callable[[], str]) -> Availability:
        """The words that ``check`` returns, or the `LifeIQAError` that it raises."""
        try:
            return cls(check())
        except LifeIQAError as error:
            return cls(str(error), error)


class Opener(Protocol):
    """Opens a model file whose manifest was read and checked."""

    def __call__(
        self, path: Path, manifest: Manifest, *, device: str, threads: int | None
    ) -> Session: ...


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """One way to run model files.

    Attributes:
        name: as options and manifests write it: ``"onnxruntime"``.
        title: for people: ``"ONNX Runtime"``.
        suffixes: of the files that it takes: ``(".onnx",)``.
        devices: where it runs: some of `DEVICES`.
        install: the command that installs it.
        available: tells whether it can run on a device here. It loads as little as it can.
        open: opens a file; see `Opener`. It imports the runtime.
        packages: the distributions that it consists of, whose versions reports state.

    Raises:
        ConfigError: it has no suffix or no device, or a device that is unknown.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    devices: tuple[str, ...]
    install: str
    available: Callable[[str], Availability]
    open: Opener
    packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.suffixes or not all(suffix.startswith(".") for suffix in self.suffixes):
            raise ConfigError(f"suffixes of {self.name} are {self.suffixes}: write ('.onnx',)")
        if not self.devices or not set(self.devices) <= set(DEVICES):
            raise ConfigError(
                f"devices of {self.name} are {self.devices}: some of {', '.join(DEVICES)} are "
                f"expected"
            )

    def takes(self, path: Path, manifest: Manifest) -> bool:
        """Whether it runs a file: by its suffix, and for an engine by what built it."""
        engine = manifest.engine
        return path.suffix in self.suffixes and (engine is None or engine.runtime == self.name)
