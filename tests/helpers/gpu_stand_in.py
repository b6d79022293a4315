"""A stand-in for TensorRT whose executions are a kernel of CuPy on the real GPU.

Everything but the engine is real: the driver, memory, streams, events, the capture of a graph. The
score of a crop is the mean of its samples, as in `fake_tensorrt`. The kernel allocates nothing; a
product of PyTorch would, since cuBLAS has a workspace for each stream.
"""

import numpy as np

from helpers.fake_tensorrt import Context, FakeTensorRT

_MEAN = r"""
extern "C" __global__ void mean(const unsigned char* crops, float* scores, long long size) {
    __shared__ unsigned long long sums[256];
    const unsigned char* crop = crops + blockIdx.x * size;
    unsigned long long sum = 0;
    for (long long i = threadIdx.x; i < size; i += blockDim.x) sum += crop[i];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
        __syncthreads();
    }
    if (threadIdx.x == 0) scores[blockIdx.x] = (float)((double)sums[0] / (double)size);
}
extern "C" __global__ void spin(long long cycles) {
    const long long begun = clock64();
    while (clock64() - begun < cycles) {}
}
"""


class Memory:
    """Device memory as an array for torch and CuPy; no stream is named, so nobody waits."""

    def __init__(self, pointer, shape, typestr):
        self.__cuda_array_interface__ = {
            "data": (pointer, False),
            "shape": tuple(shape),
            "typestr": typestr,
            "strides": None,
            "version": 2,
        }


def spin(stream, cycles=400_000_000):
    """Keep a stream busy for some tenths of a second; CuPy's."""
    kernel = _module().get_function("spin")
    with stream:
        kernel((1,), (1,), (np.int64(cycles),))


class CupyMean:
    """One kernel, launched at the addresses that it is given."""

    def __init__(self):
        self._kernel = _module().get_function("mean")

    def enqueue(self, crops, scores, shape, stream):
        import cupy

        size = np.int64(np.prod(shape[1:]))
        with cupy.cuda.ExternalStream(stream):
            arguments = (np.uint64(crops), np.uint64(scores), size)
            self._kernel((shape[0],), (256,), arguments)


class StandIn(FakeTensorRT):
    """Looks like the module ``tensorrt``; every execution goes into a real stream."""

    def __init__(self, profiles, kernel):
        super().__init__(None, profiles)
        self.kernel = kernel
        self.executions = 0

    def context(self, logger):
        return _GpuContext(self, logger)


class _GpuContext(Context):
    def execute_async_v3(self, stream):
        self.module.executions += 1
        crops, scores = self.addresses["crops"], self.addresses["score"]
        self.module.kernel.enqueue(crops, scores, self.shape, stream)
        return True


def _module():
    import cupy

    return cupy.RawModule(code=_MEAN)
