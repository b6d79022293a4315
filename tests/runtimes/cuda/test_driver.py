"""Asking the CUDA driver: the real machine without one, and a fake of its library."""

import ctypes

import pytest

from lifeiqa.errors import DeviceError
from lifeiqa.runtimes.cuda import driver
from lifeiqa.runtimes.cuda.driver import Device, cuda_device


class FakeLibrary:
    """The functions of libcuda and libnvidia-ml, writing through pointers as they do."""

    def __init__(self, **fail):
        self.fail = fail
        self.calls = []

    def __getattr__(self, name):
        if not hasattr(type(self), "_" + name):
            raise AttributeError(name)

        def call(*arguments):
            self.calls.append(name)
            return self.fail.get(name) or getattr(self, "_" + name)(*arguments) or 0

        return call

    def _cuInit(self, flags):  # noqa: N802
        assert flags == 0

    def _cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = 2

    def _cuDeviceGet(self, device, index):  # noqa: N802
        device._obj.value = index

    def _cuDeviceGetName(self, text, size, device):  # noqa: N802
        text.value = f"Fake L{device.value + 4}".encode()

    def _cuDeviceGetAttribute(self, value, attribute, device):  # noqa: N802
        value._obj.value = {75: 8, 76: 9}[attribute]

    def _cuDriverGetVersion(self, version):  # noqa: N802
        version._obj.value = 13020

    def _cuGetErrorString(self, status, text):  # noqa: N802
        text._obj.value = b"what it means"

    def _nvmlInit_v2(self):  # noqa: N802
        pass

    def _nvmlSystemGetDriverVersion(self, text, size):  # noqa: N802
        text.value = b"580.65.06"

    def _nvmlShutdown(self):  # noqa: N802
        pass


@pytest.fixture
def install(monkeypatch):
    """Put a fake library where the driver's libraries are looked for."""

    def put(library, *, management=True):
        def load(name):
            if "ml" in name and not management:
                raise OSError(f"{name}: cannot open shared object file")
            return library

        monkeypatch.setattr(driver.ctypes, "CDLL", load)
        return library

    return put


def test_a_machine_without_a_driver_says_so():
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has a CUDA driver")

    with pytest.raises(
        DeviceError, match=r"no CUDA driver found \(libcuda\.so\.1: .*needs an NVIDIA GPU"
    ):
        cuda_device()


def test_a_device_is_described(install):
    library = install(FakeLibrary())

    assert cuda_device(1) == Device(
        index=1, name="Fake L5", compute_capability="8.9", driver="580.65.06"
    )
    assert library.calls[0] == "cuInit"
    assert library.calls[-1] == "nvmlShutdown"


def test_without_the_management_library_the_cuda_version_stands_in(install):
    install(FakeLibrary(), management=False)

    assert cuda_device().driver == "CUDA 13.2"


def test_management_that_fails_is_no_error(install):
    install(FakeLibrary(nvmlSystemGetDriverVersion=3))

    assert cuda_device().driver == "CUDA 13.2"


@pytest.mark.parametrize("index", [-1, 2])
def test_a_device_that_is_not_there_is_refused(install, index):
    install(FakeLibrary())

    with pytest.raises(
        DeviceError, match=f"CUDA device is {index}, and the driver has 2 devices: "
    ):
        cuda_device(index)


def test_a_driver_that_does_not_start_is_an_error_with_its_reason(install):
    install(FakeLibrary(cuInit=999))

    with pytest.raises(DeviceError) as caught:
        cuda_device()

    assert str(caught.value) == (
        "cuInit of libcuda.so.1 failed: error 999, what it means. Check that nvidia-smi works"
    )


def test_a_driver_that_is_too_old_is_an_error(install):
    class Old(FakeLibrary):
        def __getattr__(self, name):
            if name == "cuDeviceGetAttribute":
                raise AttributeError(name)
            return super().__getattr__(name)

    install(Old())

    with pytest.raises(DeviceError, match=r"libcuda\.so\.1 has no cuDeviceGetAttribute: update"):
        cuda_device()
