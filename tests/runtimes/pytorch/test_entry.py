"""Whether PyTorch can run here, told without loading it where that can be told otherwise."""

import importlib.metadata
import subprocess
import sys

import pytest
import torch

from lifeiqa.errors import DeviceError
from lifeiqa.runtimes import pytorch
from lifeiqa.runtimes.cuda import driver


@pytest.fixture
def machine(monkeypatch):
    """Sets a driver, a release of PyTorch, and whether that finds a GPU."""

    def put(*, gpu, version="2.14.1+cu130", finds=True):
        def device():
            if not gpu:
                raise DeviceError("no CUDA driver found")

        monkeypatch.setattr(driver, "cuda_device", device)
        monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: finds)

    return put


def test_a_gpu_is_taken_where_driver_and_pytorch_have_it(machine):
    machine(gpu=True)

    assert pytorch.RUNTIME.available("cuda").words == "PyTorch 2.14.1+cu130 CUDA"


def test_without_a_driver_pytorch_is_not_asked(machine, monkeypatch):
    machine(gpu=False)
    monkeypatch.setattr(torch.cuda, "is_available", None)

    assert pytorch.RUNTIME.available("cuda").words == "no CUDA driver found"
    assert pytorch.RUNTIME.available("cpu").words == "PyTorch 2.14.1+cu130 CPU"


def test_a_pytorch_that_finds_no_gpu_is_not_taken_for_one(machine):
    machine(gpu=True, finds=False)

    found = pytorch.RUNTIME.available("cuda")
    assert not found
    assert "PyTorch finds no CUDA device" in found.words


def test_a_gpu_of_amd_needs_no_driver_of_nvidia(machine):
    machine(gpu=False, version="2.14.1+rocm6.4")

    assert pytorch.RUNTIME.available("cuda")


def test_looking_at_a_cpu_does_not_load_it():
    code = """
import sys
from lifeiqa.runtimes import pytorch
assert pytorch.RUNTIME.available("cpu")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
