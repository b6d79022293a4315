import pytest

from helpers import tiny
from helpers.builds import write_network
from lifeiqa.runtimes.cuda import driver

ABSENT = "libnone-such-library.so"


@pytest.fixture
def without_a_gpu(monkeypatch):
    """What holds for builds of TensorRT-RTX on any machine is tested as on one without a driver."""
    monkeypatch.setattr(driver, "_DRIVER", ABSENT)


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A real network in float16, with an open batch."""
    return write_network(tmp_path_factory.mktemp("half"), "fp16")


@pytest.fixture
def grey(tmp_path):
    """The simplest graph with a manifest."""
    return tiny.write_model(tmp_path / "tiny.fp32.onnx")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"
