"""Score crops that a pycuda pipeline holds on the GPU: its context, its stream, its GPUArrays.

    pip install 'lifeiqa[tensorrt,pycuda]'
    python pycuda_pipeline.py model.engine crops.npy

``crops.npy`` holds uint8 (N, S, S, 3). Prints one score a line. Nothing leaves the GPU between the
pipeline's last kernel and the score, and nothing waits but the last line.
"""

from __future__ import annotations

import sys

import numpy as np

# The primary context is the one that the CUDA runtime uses, and with it TensorRT, torch and CuPy.
# A context that pycuda makes by itself (pycuda.autoinit) would not share memory with them.
import pycuda.autoprimaryctx
import pycuda.driver
from pycuda import gpuarray

from lifeiqa import open_session


def main(engine: str, file: str) -> None:
    """Upload crops, score them in the pipeline's own stream, download the scores."""
    stream = pycuda.driver.Stream()
    crops = gpuarray.to_gpu_async(np.load(file), stream=stream)  # stands for your last kernel
    scores = gpuarray.empty(len(crops), np.float32)
    with open_session(engine) as session:
        # pycuda's arrays have __cuda_array_interface__, its streams a handle: no copy is made.
        session.run_device(crops, stream=stream.handle, out=scores)
        result = scores.get_async(stream=stream)  # your next kernel would go here
        stream.synchronize()
    print("\n".join(f"{score:.6f}" for score in result))


if __name__ == "__main__":
    main(*sys.argv[1:])
