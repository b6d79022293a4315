"""A machine with a fake GPU, as a fixture; a conftest.py that imports it has it."""

import sys

import pytest

from helpers.fake_cuda import FakeCuda
from helpers.fake_tensorrt import GPU, FakeTensorRT, info, write_engine
from lifeiqa.runtimes.tensorrt import session as session_module
from lifeiqa.runtimes.tensorrt.session import TensorRTSession


class Machine:
    """A machine with a fake GPU: what was called on it, and engines opened on it."""

    def __init__(self, monkeypatch, folder):
        self.monkeypatch, self.folder = monkeypatch, folder
        self.cuda = FakeCuda()
        self.trt = None
        self.sessions = []
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", self.cuda)
        self.put_in(GPU)

    def put_in(self, gpu):
        self.monkeypatch.setattr(session_module, "cuda_device", lambda index: gpu)

    def install(self, *batches, module="tensorrt"):
        self.trt = FakeTensorRT(self.cuda, info(*batches).profiles)
        self.monkeypatch.setitem(sys.modules, module, self.trt)

    def engine(self, *batches, **changes):
        """An engine file; TensorRT is installed for it."""
        module = changes.get("runtime", "tensorrt").replace("-", "_")
        self.install(*batches, module=module)
        return write_engine(self.folder / "tiny.fp16.engine", *batches, **changes)

    def open(self, *batches, cuda_graph=True, device=0, **changes):
        path = self.engine(*batches, **changes)
        session = TensorRTSession(path, cuda_graph=cuda_graph, device=device)
        self.sessions.append(session)
        return session


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A fake CUDA runtime and a fake TensorRT; afterwards nothing may be left allocated."""
    machine = Machine(monkeypatch, tmp_path)
    yield machine
    for session in machine.sessions:
        session.close()
    assert machine.cuda.owned() == []
