"""The two TensorRTs, `tensorrt` and `tensorrt-rtx`, and everything in which they differ.

Their Python modules have one shape, so one code path builds for both and one runs both. What
differs is here: names, whether a GPU is needed to build, what each refuses, and who captures CUDA
graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lifeiqa.config import require_choice
from lifeiqa.errors import require


@dataclass(frozen=True, kw_only=True)
class Library:
    """One TensorRT.

    Attributes:
        name: as the commands and manifests write it; also the extra that installs it.
        title: for people.
        module: its Python module.
        ahead_of_time: engines are built for named chips, without a GPU; otherwise for the GPU that
            is there while building.
        captures_graphs: its runtime captures CUDA graphs by itself.
        refused: options of a build that it cannot serve, with the reason.
    """

    name: str
    title: str
    module: str
    ahead_of_time: bool
    captures_graphs: bool
    refused: Mapping[str, str] = field(default_factory=dict)

    def load(self, purpose: str) -> Any:
        """Its Python module. Importing it touches no driver; its objects do.

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
            "hardware_compatibility": "an engine runs on the chips it was built for: name them as "
            "targets",
            "version_compatible": "an engine is tied to the release that built it",
            "refit": "it needs the GPU while building, and is used to build without one",
            "strip_plan": "it needs the GPU while building, and is used to build without one",
            "layers": "an engine has to be loaded on a GPU to show its layers",
        },
    ),
)
LIBRARIES = {library.name: library for library in _ALL}


def library_named(name: str) -> Library:
    """One of `LIBRARIES`.

    Raises:
        ConfigError: there is none of that name.
    """
    require_choice("runtime", name, tuple(LIBRARIES))
    return LIBRARIES[name]
