"""Arrays of other libraries on a real GPU, on their streams, without a copy."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lifeiqa.runtimes.tensorrt.session import TensorRTSession

pytestmark = pytest.mark.gpu
EXAMPLE = Path(__file__).parents[2] / "examples" / "pycuda_pipeline.py"


@pytest.fixture(scope="module")
def session(engine):
    with TensorRTSession(engine.path) as session:
        yield session


def test_torch(session, crops):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no CUDA device")
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        tensor = torch.tensor(crops, device="cuda")
        scores = session.run_device(tensor, stream=stream.cuda_stream)
        out = torch.as_tensor(scores, device="cuda").cpu().numpy()

    np.testing.assert_allclose(out, session.run(crops), atol=1e-3)


def test_torch_memory_takes_the_scores(session, crops):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no CUDA device")
    stream, out = torch.cuda.current_stream(), torch.empty(8, device="cuda")
    tensor = torch.tensor(crops[:8], device="cuda")

    assert session.run_device(tensor, stream=stream.cuda_stream, out=out) is out
    np.testing.assert_allclose(out.cpu().numpy(), session.run(crops[:8]), atol=1e-3)


def test_cupy(session, crops):
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    with cupy.cuda.Stream() as stream:
        scores = session.run_device(cupy.asarray(crops), stream=stream.ptr)
        out = cupy.asarray(scores).get(stream)

    np.testing.assert_allclose(out, session.run(crops), atol=1e-3)


def test_the_pycuda_example(engine, session, crops, tmp_path):
    pytest.importorskip("pycuda", reason="pycuda is not installed: pip install 'lifeiqa[pycuda]'")
    np.save(tmp_path / "crops.npy", crops[:8])
    command = [sys.executable, EXAMPLE, engine.path, tmp_path / "crops.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    scores = [float(line) for line in done.stdout.split()]
    np.testing.assert_allclose(scores, session.run(crops[:8]), atol=1e-3)
