"""The two TensorRT libraries, TensorRT and TensorRT-RTX, and everything in which they differ.

Their Python modules have the same interface, so one code path builds for both and one runs both.
What differs is here: names, whether a GPU is needed to build, what each refuses, and which of them
captures CUDA graphs itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lifeiqa.config import require_choice
from lifeiqa.errors import require


@dataclass(frozen=True, kw_only=True)
class Library:
    """One TensorRT library.

    Attributes:
        name: of its runtime in the registry and in manifests; also the extra that installs it.
        title: for people.
        module: its Python module.
        ahead_of_time: engines are built for named chips, without a GPU; otherwise for the GPU of
            the machine that builds.
        captures_graphs: it captures CUDA graphs itself.
        refused: options of a build that it does not support, with the reason.
    """

    name: str
    title: str
    module: str
    ahead_of_time: bool
    captures_graphs: bool
    refused: Mapping[str, str] = field(default_factory=dict)

    def load(self, purpose: str) -> Any:
        """Its Python module. The import does not use the driver; its objects do.

        Raises:
            MissingDependencyError: it is not installed.
        """
        return require(self.module, extra=self.name, purpose=purpose)


_ALL = (
    Library(
        name="tensorrt",
        title="TensorRT",
        module="tensorrt",
        ahead_of_time=False,
        captures_graphs=False,
    ),
    Library(
        name="tensorrt-rtx",
        title="TensorRT-RTX",
        module="tensorrt_rtx",
        ahead_of_time=True,
        captures_graphs=True,
        refused={
            "timing_cache": "it times no kernels while building: they are compiled when the engine "
            "is loaded",
            "hardware_compatibility": "an engine runs on the chips it was built for: name them "
            "with --target",
            "version_compatible": "an engine is tied to the release that built it",
            "refit": "that needs the GPU while building, and TensorRT-RTX builds without one",
            "strip_plan": "that needs the GPU while building, and TensorRT-RTX builds without one",
            "layers": "an engine must be loaded on a GPU to show its layers",
        },
    ),
)
LIBRARIES = {library.name: library for library in _ALL}


def library_named(name: str) -> Library:
    """One of `LIBRARIES`.

    Raises:
        ConfigError: none has that name.
    """
    require_choice("runtime", name, tuple(LIBRARIES))
    return LIBRARIES[name]
