"""ONNX files as a stranger may write them, and what the package onnx finds in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from google.protobuf.message import Message
from onnx import ModelProto, TensorProto

from lifeiqa.artifacts.onnx_inspect import read_onnx
from lifeiqa.errors import ArtifactError

GAIN = np.array([7.0], np.float32).tobytes()
"""The weight of `tiny.model`, as bytes."""


def send_outside(tensor, location, **entries):
    """Let a tensor lie in another file."""
    for field in ("float_data", "raw_data", "int32_data", "int64_data"):
        tensor.ClearField(field)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def outside(proto, location, **entries) -> ModelProto:
    """A model whose first weight lies in another file."""
    send_outside(proto.graph.initializer[0], location, **entries)
    return proto


def tensors_in(message: Message):
    """Every TensorProto below a message, wherever it is, by the schema of the package onnx."""
    if isinstance(message, TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in [value] if isinstance(value, Message) else value:
                yield from tensors_in(each)


def written(folder: Path, proto: ModelProto) -> Path:
    path = folder / "tiny.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def refusal(path: Path) -> str:
    """Why a file is not looked at any further."""
    with pytest.raises(ArtifactError) as caught:
        read_onnx(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not an ONNX model that can be used: ")
    return message
