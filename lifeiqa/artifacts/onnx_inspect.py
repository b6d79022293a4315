"""What an ONNX file holds and points to, found out before any runtime opens it.

Runtimes trust what a file says, some more than others, and a file may be untrusted: a tensor may
name a file outside the model's folder, or hold fewer bytes than its shape needs. So every place of
onnx.proto that can hold a tensor is visited here, and each tensor must be complete. Weights are not
read.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from lifeiqa.artifacts.onnx_tensor import Tensor, read_dims, read_entry, read_tensor, size_of
from lifeiqa.artifacts.protobuf import BYTES, Field, Reader, WireError
from lifeiqa.errors import ArtifactError

MAX_FILE = 2**31 - 1
"""Bytes of a protobuf message, and so of an ONNX file."""
_MAX_TEXT = 1 << 24  # of all metadata; it holds a manifest
_MAX_FIELDS = 1_000_000  # our exports have some 10,000
_MAX_DEPTH = 30  # nine graphs in one another; a runtime's work may double with each
_MAX_DENSE = 2**31 - 1  # a sparse tensor is spread out when it is loaded

PLACES: dict[str, dict[int, str]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
}
"""Message, field, and the message that lies there: every way from a model to its tensors."""
SINGLE = {
    ("ModelProto", 7),
    ("TrainingInfoProto", 1),
    ("TrainingInfoProto", 2),
    ("AttributeProto", 5),
    ("AttributeProto", 6),
    ("AttributeProto", 22),
    ("SparseTensorProto", 1),
    ("SparseTensorProto", 2),
}
"""Places that hold one message. A parser merges two of them, and no writer writes two."""

_METADATA = 14  # of ModelProto
_DENSE_DIMS = 3  # of SparseTensorProto

_PORTABLE = re.compile(r'[^\x00-\x1f\\:*?"<>|]+')
"""A path that means the same on every system: no drive, no second separator. It also excludes
``*/_ORT_MEM_ADDR_/*``, by which runtimes mark tensors in their own memory: its offset is an
address."""


@dataclass(frozen=True)
class OnnxFile:
    """What was found in an ONNX file.

    Attributes:
        metadata: its metadata.
        external: the other files that hold its tensors, relative to its folder.
    """

    metadata: dict[str, str]
    external: tuple[str, ...]


def read_onnx(path: Path) -> OnnxFile:
    """Inspect an ONNX file; its weights are neither read nor copied.

    Raises:
        ArtifactError: it is not an ONNX model, or damaged; a tensor holds more or less than its
            shape and type need; or its file is missing, too short or outside the folder.
    """
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if not 0 < size <= MAX_FILE:
                raise WireError(f"it has {size} bytes, and a model has 1 to {MAX_FILE}")
            with mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) as mapped:
                walk = _Walk(path.parent, Reader(mapped, limit=_MAX_FIELDS))
                walk.model(size)
    except WireError as error:
        raise ArtifactError(f"{path}: not an ONNX model that can be used: {error}") from error
    return OnnxFile(walk.metadata, tuple(sorted(walk.files)))


def require_one_file(path: Path) -> None:
    """Refuse an ONNX file with external data, for a reader that would look for it anywhere.

    TensorRT looks in the working directory, and takes ``/data/x`` for ``data/x`` there.

    Raises:
        ArtifactError: it uses external data; or as `read_onnx`.
    """
    external = read_onnx(path).external
    if external:
        raise ArtifactError(
            f"{path}: uses external data: {', '.join(external)}. TensorRT takes one file: save "
            f"the model without external data"
        )


class _Walk:
    """One walk through one file, and what it found."""

    def __init__(self, folder: Path, reader: Reader) -> None:
        self._folder, self._reader = folder, reader
        self._text = 0
        self.metadata: dict[str, str] = {}
        self.files: dict[str, int] = {}

    def model(self, size: int) -> None:
        """Walk through the whole file."""
        if 7 not in self._visit("ModelProto", 0, size, depth=1):
            raise WireError("there is no graph in it")

    def _visit(self, message: str, start: int, stop: int, *, depth: int) -> set[int]:
        """Check all tensors below a message; return the numbers of its fields that were visited."""
        if depth > _MAX_DEPTH:
            raise WireError(f"byte {start}: messages are nested more than {_MAX_DEPTH} deep")
        dense: list[int] = []
        seen: set[int] = set()
        for each in self._reader.fields(start, stop):
            inner = PLACES[message].get(each.number)
            if inner is None:
                if (message, each.number) == ("ModelProto", _METADATA):
                    self._add_metadata(each)
                elif (message, each.number) == ("SparseTensorProto", _DENSE_DIMS):
                    dense += read_dims(self._reader, each)
                continue
            self._reader.expect(each, BYTES)
            if each.number in seen and (message, each.number) in SINGLE:
                raise WireError(f"byte {each.start}: {message} has two of field {each.number}")
            seen.add(each.number)
            if inner == "TensorProto":
                self._check(read_tensor(self._reader, each.start, each.stop))
            else:
                self._visit(inner, each.start, each.stop, depth=depth + 1)
        if size_of(dense, "a sparse tensor") > _MAX_DENSE:
            raise WireError(f"a sparse tensor: its shape {dense} has more than {_MAX_DENSE} values")
        return seen

    def _add_metadata(self, each: Field) -> None:
        self._text += each.stop - each.start
        if self._text > _MAX_TEXT:
            raise WireError(f"its metadata has more than {_MAX_TEXT} bytes")
        key, value = read_entry(self._reader, each, limit=_MAX_TEXT)
        self.metadata[key] = value

    def _check(self, tensor: Tensor) -> None:
        tensor.require_whole()
        if not tensor.is_external:
            return
        location = tensor.outside.get("location", "")
        if location not in self.files:
            self.files[location] = _size_in(self._folder, location, str(tensor))
        offset = _number(tensor, "offset", default=0)
        length = _number(tensor, "length", default=tensor.bytes)
        if length != tensor.bytes:
            raise WireError(
                f"{tensor}: its shape {tensor.dims} needs {tensor.bytes} bytes, and its length in "
                f"{location!r} is {length}"
            )
        if offset + length > self.files[location]:
            raise WireError(
                f"{tensor}: it takes {length} bytes at offset {offset} of {location!r}, which has "
                f"{self.files[location]} bytes"
            )


def _size_in(folder: Path, location: str, what: str) -> int:
    """Bytes of a file in a folder or below it.

    Raises:
        WireError: it is elsewhere, by its name or by a link, or is not a regular file.
    """
    target = folder / location
    parts = location.split("/")
    if not _PORTABLE.fullmatch(location) or "" in parts or ".." in parts:
        raise WireError(
            f"{what}: its external data is {location!r}: a relative path within the model's "
            f"folder, with / between its parts, is expected. Export the model again"
        )
    try:
        real = target.resolve(strict=True)
        if not real.is_relative_to(folder.resolve()):
            raise WireError(
                f"{what}: its external data {location!r} is a link out of the model's folder, to "
                f"{real}. If the file is yours, put the file itself there"
            )
        found = real.stat()
    except (OSError, RuntimeError) as error:
        raise WireError(f"{what}: its external data {location!r} cannot be read: {error}") from None
    if not stat.S_ISREG(found.st_mode):
        raise WireError(f"{what}: its external data {location!r} is not a regular file")
    return found.st_size


def _number(tensor: Tensor, key: str, *, default: int) -> int:
    text = tensor.outside.get(key)
    if text is None:
        return default
    if not re.fullmatch("[0-9]{1,19}", text):
        raise WireError(f"{tensor}: its {key} is {text!r}: a whole number is expected")
    return int(text)
