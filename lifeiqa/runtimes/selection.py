"""Which runtime opens a model file, on which device, and why.

A GPU comes before the CPU, and on one device the order is that of `registry.RUNTIMES`. So an ONNX
model runs in ONNX Runtime where that can use a GPU, else in OpenVINO where it is installed, else in
ONNX Runtime on the CPU. A runtime of another distribution is taken when it is named, or when no
runtime of lifeiqa is available for the file: installing a package changes no score.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.config import require_choice
from lifeiqa.errors import (
    ArtifactError,
    ConfigError,
    DeviceError,
    LifeIQAError,
    MissingDependencyError,
)
from lifeiqa.runtimes.entry import DEVICES, Runtime
from lifeiqa.runtimes.registry import RUNTIMES, registered, runtime_named, runtimes


def require_suffix(path: Path, runtime: str | None = None) -> None:
    """Refuse a file by its suffix, before it is read.

    Args:
        path: of the file.
        runtime: name of the runtime that is to open it; None for any.

    Raises:
        ArtifactError: no runtime takes such files.
        ConfigError: ``runtime`` is unknown, or does not take such files.
    """
    if runtime is None and any(path.suffix in each.suffixes for each in RUNTIMES):
        return
    if runtime is not None and path.suffix in runtime_named(runtime).suffixes:
        return
    known = runtimes()
    takers = [each.name for each in known if path.suffix in each.suffixes]
    if not takers:
        suffixes = list(dict.fromkeys(suffix for each in known for suffix in each.suffixes))
        raise ArtifactError(
            f"{path}: {path.suffix!r} is not the suffix of a model file: "
            f"{', '.join(suffixes[:-1])} and {suffixes[-1]} are read"
        )
    if runtime is not None:
        raise ConfigError(
            f"runtime is {runtime!r}, and {path.name} runs in {', '.join(takers)}: choose one of "
            f"those, or another file"
        )


def require_known(runtime: str | None, device: str | None) -> None:
    """Refuse a runtime or a device of an unknown name; None stands for any.

    Raises:
        ConfigError: with the names that are known.
    """
    if runtime is not None:
        runtime_named(runtime)
    if device is not None:
        require_choice("device", device, DEVICES)


def choose(
    path: Path, manifest: Manifest, *, runtime: str | None = None, device: str | None = None
) -> tuple[Runtime, str]:
    """The runtime and the device that open a model file here.

    Other distributions are asked only where no runtime of lifeiqa is available. Where only one
    choice is left, it is returned even if it is not available: opening the file tells best what is
    missing.

    Args:
        path: of the model file.
        manifest: its manifest.
        runtime: name of a runtime, or None.
        device: one of `DEVICES`, or None.

    Raises:
        ConfigError: the runtime or the device is unknown, or they do not fit the file.
        MissingDependencyError: no runtime for the file is installed.
        DeviceError: the runtimes for the file need a GPU, and there is none.
    """
    require_known(runtime, device)
    require_suffix(path, runtime)
    among = RUNTIMES if runtime is None else (runtime_named(runtime),)
    takers = [each for each in among if each.takes(path, manifest)]
    left = _pairs(takers, device)
    if len(left) == 1 and runtime is not None:
        return left[0]
    found = _first_available(left)
    if found is None and runtime is None:
        others = [each for each in registered() if each.takes(path, manifest)]
        takers, further = takers + others, _pairs(others, device)
        left, found = left + further, _first_available(further)
    if found is not None:
        return found
    if not takers:
        raise _no_taker(path, manifest, runtime)
    if not left:
        where = ", ".join(f"{each.name} on {'/'.join(each.devices)}" for each in takers)
        raise ConfigError(f"device is {device!r}, and {path.name} runs in {where}: choose that")
    if len(left) == 1:
        return left[0]
    raise _none_available(path, left)


def candidates(path: Path, manifest: Manifest) -> list[tuple[Runtime, str]]:
    """Every runtime and device that take a file, in order of preference, available or not."""
    return [
        pair
        for among in (RUNTIMES, registered())
        for pair in _pairs([each for each in among if each.takes(path, manifest)], None)
    ]


def runs_with(path: Path, manifest: Manifest) -> list[str]:
    """What can run a file here and what cannot, and why; one line each, for people.

    The first that can is the one that `lifeiqa.open_session` takes. Nothing of the file is loaded.
    """
    lines, default = [], " (default)"
    for runtime, device in candidates(path, manifest):
        available = runtime.available(device)
        if available:
            lines.append(f"{runtime.name} on {device}: {available.words}{default}")
            default = ""
        else:
            lines.append(f"{runtime.name} on {device}: not available: {available.words}")
    return lines


def _pairs(among: list[Runtime], device: str | None) -> list[tuple[Runtime, str]]:
    devices = DEVICES if device is None else (device,)
    return [(runtime, each) for each in devices for runtime in among if each in runtime.devices]


def _first_available(among: Iterable[tuple[Runtime, str]]) -> tuple[Runtime, str] | None:
    return next((pair for pair in among if pair[0].available(pair[1])), None)


def _no_taker(path: Path, manifest: Manifest, runtime: str | None) -> ConfigError:
    if manifest.engine is None:
        return ConfigError(f"{path}: no runtime takes this file of kind {manifest.kind!r}")
    built = manifest.engine.runtime
    if runtime is not None:
        return ConfigError(f"runtime is {runtime!r}, and {path.name} was built for {built!r}")
    return ConfigError(f"{path}: it was built for {built!r}, and no such runtime is installed")


def _none_available(path: Path, tried: list[tuple[Runtime, str]]) -> LifeIQAError:
    found = [(runtime, device, runtime.available(device)) for runtime, device in tried]
    missing = {
        runtime.title: runtime.install
        for runtime, _, each in found
        if isinstance(each.error, MissingDependencyError)
    }
    if missing:
        install = "Install it" if len(missing) == 1 else "Install one of them"
        return MissingDependencyError(
            f"running {path.name} needs {' or '.join(missing)}, not installed here. "
            f"{install}: {', or '.join(missing.values())}"
        )
    reasons = "; ".join(
        f"{runtime.name} on {device}: {each.words}" for runtime, device, each in found
    )
    return DeviceError(f"{path}: no runtime for it is available here. {reasons}")
