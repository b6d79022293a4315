"""Score crops in a pycuda pipeline, with its own context, stream and GPUArrays.

    pip install 'lifeiqa[tensorrt,pycuda]'
    python pycuda_pipeline.py model.engine crops.npy

``crops.npy`` holds uint8 (N, S, S, 3). Prints one score per line. No data leaves the GPU between
the pipeline's last kernel and the score, and only the last line waits for the GPU.
"""

from __future__ import annotations

import sys

import numpy as np

# The CUDA runtime uses the primary context, and so do TensorRT, torch and CuPy. A context of
# pycuda.autoinit would not share memory with them.
import pycuda.autoprimaryctx
import pycuda.driver
from pycuda import gpuarray

from lifeiqa import open_session


def main(engine: str, file: str) -> None:
    """Upload crops, score them in the pipeline's stream, and download the scores."""
    stream = pycuda.driver.Stream()
    crops = gpuarray.to_gpu_async(np.load(file), stream=stream)  # replace with your last kernel
    scores = gpuarray.empty(len(crops), np.float32)
    with open_session(engine) as session:
        # Arrays are passed by __cuda_array_interface__ and the stream by its handle: no copy.
        session.run_device(crops, stream=stream.handle, out=scores)
        result = scores.get_async(stream=stream)  # replace with your next kernel
        stream.synchronize()
    print("\n".join(f"{score:.6f}" for score in result))


if __name__ == "__main__":
    main(*sys.argv[1:])
