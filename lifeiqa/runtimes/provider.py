"""What ``provider`` meant before there were ``runtime`` and ``device``; goes with lifeiqa 0.3."""

from __future__ import annotations

import warnings

from lifeiqa.config import require_choice
from lifeiqa.errors import ConfigError
from lifeiqa.runtimes import onnxruntime, openvino
from lifeiqa.runtimes.entry import DEVICES

PROVIDERS = (*sorted(DEVICES), openvino.RUNTIME.name)


def from_provider(provider: str, suffix: str) -> tuple[str | None, str | None]:
    """The runtime and the device that a provider meant for a file of some suffix.

    ``"cpu"`` and ``"cuda"`` meant ONNX Runtime for an ONNX model.

    Raises:
        ConfigError: the provider is unknown.
    """
    require_choice("provider", provider, PROVIDERS)
    if provider not in DEVICES:
        return provider, None
    onnx = onnxruntime.RUNTIME
    return (onnx.name if suffix in onnx.suffixes else None), provider


def without_provider(
    provider: str | None, suffix: str, runtime: str | None, device: str | None, *, stacklevel: int
) -> tuple[str | None, str | None]:
    """Runtime and device, with a `DeprecationWarning` where a provider stands in their place.

    Args:
        provider: what was passed.
        suffix: of the model file.
        runtime: what was passed.
        device: what was passed.
        stacklevel: of the warning, counted from the caller of this function.

    Raises:
        ConfigError: the provider is unknown, or comes together with a runtime or a device.
    """
    if provider is None:
        return runtime, device
    if runtime is not None or device is not None:
        raise ConfigError("provider and runtime or device are mutually exclusive: drop provider")
    warnings.warn(
        "provider is deprecated and goes with lifeiqa 0.3: pass runtime and device",
        DeprecationWarning,
        stacklevel=stacklevel + 1,
    )
    return from_provider(provider, suffix)
