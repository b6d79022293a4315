"""The C interface of engines/cpp through ctypes, and its errors beside those of Python."""

import contextlib
import ctypes
import re
from ctypes import (
    POINTER,
    byref,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_ssize_t,
    c_void_p,
)
from dataclasses import dataclass, field

import numpy as np
import pytest

from lifeiqa.errors import LifeIQAError
from lifeiqa.scorer import Scorer

CODES = {
    1: "ConfigError",
    2: "ImageError",
    3: "ArtifactError",
    4: "EngineMismatchError",
    5: "DeviceError",
    6: "MissingDependencyError",
    7: "internal",
}
"""Error code -> the corresponding class in Python."""


class Options(ctypes.Structure):
    _fields_ = [
        *((name, c_char_p) for name in ("crops", "runtime", "device")),
        ("threads", c_int32),
        ("max_pixels", c_int64),
    ]


class Score(ctypes.Structure):
    _fields_ = [
        *((name, c_double) for name in ("value", "std")),
        *((name, c_int32) for name in ("crop_count", "gaps")),
    ]


class Model(ctypes.Structure):
    _fields_ = [
        *((name, c_char_p) for name in ("name", "sha256", "precision", "runtime")),
        *((name, c_double) for name in ("low", "high")),
        *((name, c_int32) for name in ("higher_is_better", "crop_size", "crop_count")),
    ]


class CError(Exception):
    """An error of the library. ``kind`` is the name of the corresponding class in Python."""

    def __init__(self, code, message):
        super().__init__(message)
        self.kind = CODES[code]


class CLibrary:
    """liblifeiqa.so with NumPy arrays in and out. Errors are raised as `CError`."""

    def __init__(self, path):
        self._library = ctypes.CDLL(str(path))
        self._library.lifeiqa_last_error.restype = c_char_p
        self._library.lifeiqa_close.argtypes = [c_void_p]
        self._library.lifeiqa_free.argtypes = [c_void_p]

    def call(self, name, *arguments):
        code = getattr(self._library, f"lifeiqa_{name}")(*arguments)
        if code:
            raise CError(code, self._library.lifeiqa_last_error().decode())

    def decode(self, data, name=None, max_pixels=0):
        """The pixels of an image file: RGB uint8 ``(H, W, 3)``."""
        rgb, width, height = c_void_p(), c_int32(), c_int32()
        name = name and name.encode()
        limit = c_int64(max_pixels)
        sizes = byref(rgb), byref(width), byref(height)
        self.call("decode", data, c_size_t(len(data)), name, limit, *sizes)
        return self._copied(rgb, (height.value, width.value, 3))

    def cut(self, pixels, preprocessing, size, stride=None):
        """Crops uint8 ``(N, S, S, 3)`` of an image."""
        height, width = pixels.shape[:2]
        crops, count = c_void_p(), c_int32()
        self.call(
            "cut",
            pixels.ctypes.data_as(c_void_p),
            *(width, height, c_ssize_t(width * 3 if stride is None else stride)),
            *(size, preprocessing.short_side or 0),
            *(preprocessing.resample.encode(), preprocessing.crops.encode()),
            *(byref(crops), byref(count)),
        )
        return self._copied(crops, (count.value, size, size, 3))

    @contextlib.contextmanager
    def scorer(self, path, *, crops=None, runtime=None, device=None, threads=0, max_pixels=0):
        """A `CScorer`, closed at the end of the block."""
        texts = [text and text.encode() for text in (crops, runtime, device)]
        options = Options(*texts, threads, max_pixels)
        handle = c_void_p()
        self.call("open", str(path).encode(), byref(options), byref(handle))
        try:
            yield CScorer(self, handle)
        finally:
            self._library.lifeiqa_close(handle)

    def _copied(self, memory, shape):
        """Copy memory that the library allocated, and free it."""
        count = int(np.prod(shape))
        array = np.ctypeslib.as_array(ctypes.cast(memory, POINTER(ctypes.c_uint8)), (count,))
        copy = array.reshape(shape).copy()
        self._library.lifeiqa_free(memory)
        return copy


class CScorer:
    """An open scorer of the library. Its methods return value, standard deviation and crops."""

    def __init__(self, library, handle):
        self._library, self._handle = library, handle
        self.model = Model()
        library.call("describe", handle, byref(self.model))

    def score_file(self, path):
        return self._scored("file", str(path).encode())

    def score_bytes(self, data, name=None):
        return self._scored("bytes", data, c_size_t(len(data)), name and name.encode())

    def score_rgb(self, pixels, stride=None):
        height, width = pixels.shape[:2]
        stride = c_ssize_t(width * 3 if stride is None else stride)
        return self._scored("rgb", pixels.ctypes.data_as(c_void_p), width, height, stride)

    def gaps(self, pixels):
        """Whether the crops of an image leave gaps, and their number."""
        height, width = pixels.shape[:2]
        score, stride = Score(), c_ssize_t(width * 3)
        given = pixels.ctypes.data_as(c_void_p), width, height, stride, byref(score), None
        self._library.call("score_rgb", self._handle, *given)
        return bool(score.gaps), score.crop_count

    def score_crops(self, crops):
        scores = np.empty(len(crops), np.float32)
        arrays = [array.ctypes.data_as(c_void_p) for array in (crops, scores)]
        self._library.call("score_crops", self._handle, arrays[0], c_size_t(len(crops)), arrays[1])
        return scores

    def _scored(self, name, *arguments):
        score, crops = Score(), np.empty(self.model.crop_count, np.float32)
        out = byref(score), crops.ctypes.data_as(c_void_p)
        self._library.call(f"score_{name}", self._handle, *arguments, *out)
        return score.value, score.std, tuple(crops[: score.crop_count].tolist())


def python_scorer(path, **options):
    """Python's scorer with the runtime that C++ has for ONNX files: ONNX Runtime on the CPU."""
    return Scorer(path, runtime="onnxruntime", device="cpu", **options)


@dataclass(frozen=True)
class Failure:
    """An error of Python or C++. Two are equal if their class and values are, not their sentences.

    Attributes:
        kind: name of the class in Python.
        message: the text.
        values: the words of the text that hold a digit, a slash, an underscore or a quote: numbers,
            sizes, sums, paths and names of settings.
    """

    kind: str
    message: str = field(compare=False)
    values: frozenset[str]

    @classmethod
    def of(cls, error):
        message = str(error)
        words = (word.strip(".,") for word in re.split(r"[\s:;()]+", message))
        values = frozenset(word for word in words if re.search(r"[\d/_']", word))
        return cls(getattr(error, "kind", type(error).__name__), message, values)


def failure_of(function, *arguments):
    """The `Failure` of a call that must fail."""
    with pytest.raises((CError, LifeIQAError)) as raised:
        function(*arguments)
    return Failure.of(raised.value)


def failures(library, path, **options):
    """What Python and C++ report for a model file that cannot be opened."""

    def open_in_cpp():
        with library.scorer(path, **options):
            pass

    return failure_of(lambda: python_scorer(path, **options)), failure_of(open_in_cpp)
