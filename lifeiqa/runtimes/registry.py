"""The runtimes that are known: those of lifeiqa, and those that other distributions register.

A distribution registers a runtime by an entry point of the group ``lifeiqa.runtimes``: the name of
the runtime, and the `Runtime` object that describes it. It is loaded when it is first needed.
"""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING

from lifeiqa.errors import ConfigError
from lifeiqa.runtimes import onnxruntime, openvino, pytorch, tensorrt
from lifeiqa.runtimes.entry import Availability, Runtime

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "GROUP",
    "RUNTIMES",
    "Availability",
    "Runtime",
    "registered",
    "runtime_named",
    "runtime_names",
    "runtimes",
]

GROUP = "lifeiqa.runtimes"
"""The group of entry points."""

RUNTIMES: tuple[Runtime, ...] = (
    openvino.RUNTIME,
    onnxruntime.RUNTIME,
    pytorch.RUNTIME,
    *tensorrt.RUNTIMES,
)
"""Those of lifeiqa, in order of preference. See `lifeiqa.runtimes.selection`."""


def runtime_names() -> tuple[str, ...]:
    """Names of all runtimes, those of lifeiqa first; nothing is loaded for that."""
    return (*(runtime.name for runtime in RUNTIMES), *_entries())


def runtimes() -> tuple[Runtime, ...]:
    """All runtimes, those of lifeiqa first. One that cannot be loaded is a warning."""
    return (*RUNTIMES, *registered())


def registered() -> tuple[Runtime, ...]:
    """The runtimes of other distributions. One that cannot be loaded is a warning."""
    found = []
    for name in _entries():
        try:
            found.append(runtime_named(name))
        except ConfigError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=2)
    return tuple(found)


def runtime_named(name: str) -> Runtime:
    """A runtime by its name.

    Raises:
        ConfigError: there is none of that name, or the distribution that registers it is broken.
    """
    for runtime in RUNTIMES:
        if runtime.name == name:
            return runtime
    entries = _entries().get(name)
    if entries is None:
        raise ConfigError(f"runtime is {name!r}: choose one of {', '.join(runtime_names())}")
    if len(entries) > 1:
        raise ConfigError(
            f"the runtime {name!r} is registered by {' and '.join(map(_origin, entries))}: "
            f"uninstall one of them"
        )
    return _loaded(entries[0])


@functools.cache
def _loaded(entry: EntryPoint) -> Runtime:
    try:
        found = entry.load()
    except Exception as error:  # whatever the code of another distribution raises
        raise ConfigError(
            f"the runtime {entry.name!r} of {_origin(entry)} cannot be loaded: "
            f"{type(error).__name__}: {error}. Upgrade or uninstall that distribution"
        ) from error
    if not isinstance(found, Runtime) or found.name != entry.name:
        raise ConfigError(
            f"the runtime {entry.name!r} of {_origin(entry)} is {found!r}: a lifeiqa Runtime of "
            f"that name is expected. Upgrade or uninstall that distribution"
        )
    return found


@functools.cache
def _entries() -> dict[str, tuple[EntryPoint, ...]]:
    """Entry points by name; one that takes the name of a runtime of lifeiqa is left out."""
    from importlib.metadata import entry_points  # slow to import, and often not needed

    own = {runtime.name for runtime in RUNTIMES}
    found: dict[str, tuple[EntryPoint, ...]] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda each: (each.name, _origin(each))):
        if entry.name in own:
            warnings.warn(
                f"the runtime {entry.name!r} of {_origin(entry)} is ignored: lifeiqa has one of "
                f"that name. Uninstall or rename it",
                RuntimeWarning,
                stacklevel=2,
            )
        else:
            found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


def _origin(entry: EntryPoint) -> str:
    """``lifeiqa-reference 1.0``."""
    distribution = entry.dist
    if distribution is None:
        return entry.value
    return f"{distribution.name} {distribution.version}"
