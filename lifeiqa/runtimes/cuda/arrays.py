"""Arrays on a device and streams, as torch, CuPy, Numba and pycuda pass them.

Arrays come through the CUDA Array Interface, version 3, or as a pointer; streams through
``__cuda_stream__`` or as a handle. No library is imported for that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lifeiqa.errors import ConfigError

_UINT8, _FLOAT32 = "|u1", "<f4"


@dataclass(frozen=True)
class DeviceArray:
    """Where an array is, how long it is, and the stream that computes it, if it says so."""

    pointer: int
    count: int
    stream: int | None = None


def device_crops(crops: Any, size: int, count: int | None) -> DeviceArray:
    """Crops on a device.

    Args:
        crops: uint8 ``(N, S, S, 3)`` with ``__cuda_array_interface__``, or its address.
        size: S.
        count: N, for an address; must be None or N for an array.

    Raises:
        ConfigError: they are on the host, or have another type, shape or layout.
    """
    return _array("crops", crops, _UINT8, (size, size, 3), count)


def device_scores(scores: Any, count: int) -> DeviceArray:
    """Memory for scores on a device, float32 ``(count,)``, or its address.

    Raises:
        ConfigError: it is on the host, or has another type, shape or layout.
    """
    return _array("out", scores, _FLOAT32, (), count)


def stream_handle(stream: Any) -> int:
    """The handle of a stream: a whole number, or what ``__cuda_stream__()`` returns.

    Raises:
        ConfigError: it is neither.
    """
    protocol = getattr(stream, "__cuda_stream__", None)
    if protocol is not None:
        _, handle = protocol() if callable(protocol) else protocol
        return int(handle)
    if isinstance(stream, int) and not isinstance(stream, bool):
        return stream
    raise ConfigError(
        f"stream is a {type(stream).__name__}: pass an object with __cuda_stream__, or its handle "
        f"(torch: stream.cuda_stream, CuPy: stream.ptr, pycuda: stream.handle)"
    )


def _array(
    name: str, array: Any, typestr: str, shape: tuple[int, ...], count: int | None
) -> DeviceArray:
    expected = f"{typestr} ({', '.join(['N', *map(str, shape)])})"
    if isinstance(array, int) and not isinstance(array, bool):
        if count is None or count < 1:
            raise ConfigError(f"{name} is an address: pass how many there are, count=N")
        return DeviceArray(array, count)
    try:
        # Libraries raise AttributeError here for an array of the host.
        interface = array.__cuda_array_interface__
    except AttributeError:
        raise ConfigError(
            f"{name} is a {type(array).__name__} without __cuda_array_interface__: pass an array "
            f"on the device, {expected}, or its address; run() takes arrays of the host"
        ) from None
    actual, strides = tuple(interface["shape"]), interface.get("strides")
    if interface["typestr"] != typestr or len(actual) != 1 + len(shape) or actual[1:] != shape:
        raise ConfigError(f"{name} is {interface['typestr']} {actual}: {expected} is expected")
    if actual[0] == 0 or (count is not None and actual[0] != count):
        raise ConfigError(f"{name} has {actual[0]} entries, {count or 'at least 1'} expected")
    if strides is not None and tuple(strides) != _dense(actual, int(typestr[-1])):
        raise ConfigError(f"{name} has strides {tuple(strides)}: make it contiguous first")
    return DeviceArray(int(interface["data"][0]), actual[0], interface.get("stream"))


def _dense(shape: tuple[int, ...], item: int) -> tuple[int, ...]:
    """Strides in bytes of a contiguous array."""
    return tuple(item * math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
