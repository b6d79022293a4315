import pytest
import torch

from helpers import tiny
from helpers.tiny_network import tiny_manifest, tiny_model
from lifeiqa.model.checkpoint import save_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    model = tiny_model()
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, model.network, tiny_manifest(model))
    return path


@pytest.fixture
def repository(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def graph(tmp_path):
    return tiny.write_model(tmp_path / "tiny.fp32.onnx")
