"""Every error that lifeiqa raises on purpose.

::

    LifeIQAError
    ├── ConfigError              a setting that cannot work (also a ValueError)
    ├── ImageError               an image that cannot be decoded or cropped
    ├── ArtifactError            a model file that is missing, damaged or not what its manifest says
    │   ├── CheckpointError      a training checkpoint that cannot be read or converted
    │   └── EngineMismatchError  an engine built for another TensorRT version or another chip
    ├── DatasetError             a table, folder or archive of images that cannot be used
    ├── TrainingError            a training run that cannot go on
    ├── ExportError              a network that cannot be exported as a graph
    │   ├── EngineBuildError     a graph that TensorRT cannot parse or compile
    │   └── ParityError          an artifact that drifted from its parent by more than its tolerance
    ├── OutputError              output that cannot be written: a full disk, a damaged file
    ├── WorkerError              a child process that failed or died
    ├── DeviceError              no CUDA driver or device, or a CUDA call that failed
    └── MissingDependencyError   an optional package that is not installed (also an ImportError)

A message says what is wrong, with the value, then what to do about it.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType


class LifeIQAError(Exception):
    """Base of every error below: catch this one to catch them all."""


class ConfigError(LifeIQAError, ValueError):
    """A setting, or a combination of settings, that cannot work."""


class ImageError(LifeIQAError):
    """An image that cannot be decoded or cropped; the message names it and the cause."""


class ArtifactError(LifeIQAError):
    """A model file that is missing, damaged, or not what its manifest says it is."""


class CheckpointError(ArtifactError):
    """A training checkpoint that cannot be read or converted."""


class EngineMismatchError(ArtifactError):
    """An engine that was built for another TensorRT version or another chip."""


class DatasetError(LifeIQAError):
    """A table, folder, list or archive of images, or their labels, that cannot be used."""


class TrainingError(LifeIQAError):
    """A training run that cannot go on."""


class ExportError(LifeIQAError):
    """A network that cannot be exported as a graph."""


class EngineBuildError(ExportError):
    """A graph that TensorRT cannot parse or compile; the message names node and cause."""


class ParityError(ExportError):
    """An artifact whose scores differ from its parent's by more than the tolerance."""


class OutputError(LifeIQAError):
    """Output that cannot be written or read back: a full disk, a damaged or unknown file."""


class WorkerError(LifeIQAError):
    """A child process that failed or died: a benchmark candidate or a decoder."""


class DeviceError(LifeIQAError):
    """There is no CUDA driver or device, or a CUDA call failed."""


class MissingDependencyError(LifeIQAError, ImportError):
    """An optional package that this feature needs is not installed."""


def require_all(*modules: str, extra: str, purpose: str) -> None:
    """Call `require` for several modules, before importing a module that needs them all."""
    for module in modules:
        require(module, extra=extra, purpose=purpose)


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional dependency, or raise an error that names the extra to install.

    Args:
        module: dotted name to import, for instance ``"scipy.stats"``.
        extra: the extra of lifeiqa that installs it.
        purpose: what needs it, as the subject of "needs ...".

    Raises:
        MissingDependencyError: the module's top-level package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingDependencyError(
            f"{purpose} needs the package '{package}', which is not installed. "
            f"Install it: pip install 'lifeiqa[{extra}]'",
            name=package,
        ) from None


def installed(module: str) -> bool:
    """Whether a top-level package can be imported, without importing it.

    A folder of the same name without code, such as a checkout in the working directory, does not
    count.
    """
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None
