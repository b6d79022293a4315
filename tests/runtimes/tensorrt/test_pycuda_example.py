"""examples/pycuda_pipeline.py with fakes of pycuda, CUDA and TensorRT.

tests/gpu/test_arrays.py runs it with the real ones.
"""

import ctypes
import runpy
import sys
import types
from pathlib import Path

import numpy as np

from helpers import tiny

EXAMPLE = Path(__file__).parents[3] / "examples" / "pycuda_pipeline.py"


class FakeArray:
    """A pycuda GPUArray in the memory of the fake."""

    def __init__(self, cuda, values):
        self.pointer, self.values = cuda.upload(values), values
        self.__cuda_array_interface__ = {
            "shape": values.shape,
            "typestr": values.dtype.str,
            "data": (self.pointer, False),
            "version": 3,
        }

    def __len__(self):
        return len(self.values)

    def get_async(self, stream):
        copy = np.empty_like(self.values)
        ctypes.memmove(copy.ctypes.data, self.pointer, copy.nbytes)
        return copy


def install_pycuda(monkeypatch, cuda):
    """Modules with the names that the example imports."""

    class Stream:
        def __init__(self):
            self.handle = cuda.callers_stream()

        def synchronize(self):
            cuda.cudaStreamSynchronize(self.handle)

    driver = types.SimpleNamespace(Stream=Stream)
    gpuarray = types.SimpleNamespace(
        to_gpu_async=lambda values, stream: FakeArray(cuda, values),
        empty=lambda count, dtype: FakeArray(cuda, np.full(count, np.nan, dtype)),
    )
    package = types.SimpleNamespace(driver=driver, gpuarray=gpuarray, autoprimaryctx=None)
    for name, module in {
        "pycuda": package,
        "pycuda.autoprimaryctx": types.SimpleNamespace(),
        "pycuda.driver": driver,
        "pycuda.gpuarray": gpuarray,
    }.items():
        monkeypatch.setitem(sys.modules, name, module)


def test_the_pycuda_example_scores_crops_on_the_device(machine, monkeypatch, tmp_path, capsys):
    install_pycuda(monkeypatch, machine.cuda)
    np.save(tmp_path / "crops.npy", tiny.crops(7, 8, 9))
    engine = machine.engine("1:4:8")
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), str(engine), str(tmp_path / "crops.npy")])

    runpy.run_path(str(EXAMPLE), run_name="__main__")

    assert capsys.readouterr().out == "7.000000\n8.000000\n9.000000\n"
