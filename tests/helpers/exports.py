"""Exports of networks, each made once in a run of the tests, whichever process asks first."""

import hashlib
import os
from pathlib import Path

import onnx
from filelock import FileLock

from lifeiqa_export.graph import onnx_from_model


def exported_graph(model, *, batch=None):
    """As `lifeiqa_export.graph.onnx_from_model`, which takes seconds for the smallest network.

    The files lie in a folder that `tests/conftest.py` makes for the run and names to its processes.
    """
    path = Path(os.environ["LIFEIQA_TEST_EXPORTS"]) / f"{_key(model, batch)}.onnx"
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            onnx.save(onnx_from_model(model, batch=batch), path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
    return onnx.load(path)


def _key(model, batch):
    """The sum of all that the graph depends on: settings, modules and every tensor."""
    settings = model.network.config, model.scale, model.offset, batch, model
    digest = hashlib.sha256(repr(settings).encode())
    for name, module in model.named_modules():
        digest.update(f"{name} {type(module).__module__}.{type(module).__qualname__}\n".encode())
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
