"""The CUDA driver and its devices, asked through ctypes.

Without a driver TensorRT does not fail: it logs one line and crashes the process. So the driver is
initialised first, through its own library, which needs no package.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from typing import Any

from lifeiqa.errors import DeviceError

_WINDOWS = os.name == "nt"
_DRIVER = "nvcuda.dll" if _WINDOWS else "libcuda.so.1"
_MANAGEMENT = "nvml.dll" if _WINDOWS else "libnvidia-ml.so.1"
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR
_TEXT = 128


@dataclass(frozen=True, kw_only=True)
class Device:
    """A GPU that the driver can use.

    Attributes:
        index: its number for CUDA, as ``CUDA_VISIBLE_DEVICES`` leaves it.
        name: as the driver gives it.
        compute_capability: ``"8.9"``.
        driver: release of the driver, ``"580.65.06"``; the CUDA version that the driver speaks,
            ``"CUDA 13.0"``, where its management library is missing.
    """

    index: int
    name: str
    compute_capability: str
    driver: str


def cuda_device(index: int = 0) -> Device:
    """Initialise the CUDA driver and describe one of its devices.

    Raises:
        DeviceError: no driver, no device of that number, or the driver does not start.
    """
    driver = _Library(_DRIVER)
    driver.call("cuInit", 0)
    count = ctypes.c_int()
    driver.call("cuDeviceGetCount", ctypes.byref(count))
    if not 0 <= index < count.value:
        raise DeviceError(
            f"CUDA device is {index}, and the driver has {count.value} devices: "
            f"see nvidia-smi, and CUDA_VISIBLE_DEVICES if it is set"
        )
    device, name = ctypes.c_int(), ctypes.create_string_buffer(_TEXT)
    driver.call("cuDeviceGet", ctypes.byref(device), index)
    driver.call("cuDeviceGetName", name, _TEXT, device)
    capability = [ctypes.c_int(), ctypes.c_int()]
    for value, attribute in zip(capability, (_MAJOR, _MINOR), strict=True):
        driver.call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
    return Device(
        index=index,
        name=name.value.decode(errors="replace"),
        compute_capability=".".join(str(value.value) for value in capability),
        driver=_release() or _spoken_version(driver),
    )


def _spoken_version(driver: _Library) -> str:
    version = ctypes.c_int()
    driver.call("cuDriverGetVersion", ctypes.byref(version))
    return f"CUDA {version.value // 1000}.{version.value % 1000 // 10}"


def _release() -> str | None:
    """The release of the driver, which only its management library knows."""
    with contextlib.suppress(DeviceError):
        management = _Library(_MANAGEMENT)
        management.call("nvmlInit_v2")
        try:
            text = ctypes.create_string_buffer(_TEXT)
            management.call("nvmlSystemGetDriverVersion", text, _TEXT)
            return text.value.decode(errors="replace")
        finally:
            management.call("nvmlShutdown")
    return None


class _Library:
    """A library of the driver; its functions return 0 or the number of an error."""

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            self._library: Any = ctypes.CDLL(name)
        except OSError as error:
            raise DeviceError(
                f"no CUDA driver found ({error}). CUDA needs an NVIDIA GPU and its driver"
            ) from None

    def call(self, function: str, *arguments: Any) -> None:
        try:
            status = getattr(self._library, function)(*arguments)
        except AttributeError:
            raise DeviceError(f"{self.name} has no {function}: update the driver") from None
        if status != 0:
            raise DeviceError(f"{function} of {self.name} failed: {self._text(status)}")

    def _text(self, status: int) -> str:
        text = ctypes.c_char_p()
        with contextlib.suppress(AttributeError):
            self._library.cuGetErrorString(status, ctypes.byref(text))
        meaning = f", {text.value.decode(errors='replace')}" if text.value else ""
        return f"error {status}{meaning}. Check that nvidia-smi works"
