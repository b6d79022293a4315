"""The C interface of engines/cpp through ctypes."""

import contextlib
import ctypes
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
"""Number of an error -> Python's class for the same."""


class Options(ctypes.Structure):
    _fields_ = [
        ("crops", c_char_p),
        ("provider", c_char_p),
        ("threads", c_int32),
        ("max_pixels", c_int64),
    ]


class Score(ctypes.Structure):
    _fields_ = [("value", c_double), ("std", c_double)]


class Model(ctypes.Structure):
    _fields_ = [
        *((name, c_char_p) for name in ("name", "sha256", "precision", "runtime")),
        *((name, c_double) for name in ("low", "high")),
        *((name, c_int32) for name in ("higher_is_better", "crop_size", "crop_count")),
    ]


class CError(Exception):
    """An error of the library: the name of its class in Python, and its text."""

    def __init__(self, code, message):
        super().__init__(message)
        self.kind = CODES[code]


class CLibrary:
    """liblifeiqa.so with arrays in and out, and errors raised."""

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
        """RGB uint8 ``(H, W, 3)`` of the bytes of a file."""
        rgb, width, height = c_void_p(), c_int32(), c_int32()
        name = name and name.encode()
        limit = c_int64(max_pixels)
        sizes = byref(rgb), byref(width), byref(height)
        self.call("decode", data, c_size_t(len(data)), name, limit, *sizes)
        return self._taken(rgb, (height.value, width.value, 3))

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
        return self._taken(crops, (count.value, size, size, 3))

    @contextlib.contextmanager
    def scorer(self, path, *, crops=None, provider=None, threads=0, max_pixels=0):
        """A `CScorer` for as long as the block."""
        texts = [text and text.encode() for text in (crops, provider)]
        handle = c_void_p()
        self.call(
            "open", str(path).encode(), byref(Options(*texts, threads, max_pixels)), byref(handle)
        )
        try:
            yield CScorer(self, handle)
        finally:
            self._library.lifeiqa_close(handle)

    def _taken(self, memory, shape):
        """A copy of memory that the library handed over, which is given back."""
        count = int(np.prod(shape))
        array = np.ctypeslib.as_array(ctypes.cast(memory, POINTER(ctypes.c_uint8)), (count,))
        copy = array.reshape(shape).copy()
        self._library.lifeiqa_free(memory)
        return copy


class CScorer:
    """An open scorer of the library; its methods give value, standard deviation and crops."""

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

    def score_crops(self, crops):
        scores = np.empty(len(crops), np.float32)
        arrays = [array.ctypes.data_as(c_void_p) for array in (crops, scores)]
        self._library.call("score_crops", self._handle, arrays[0], c_size_t(len(crops)), arrays[1])
        return scores

    def _scored(self, name, *arguments):
        score, crops = Score(), np.empty(self.model.crop_count, np.float32)
        out = byref(score), crops.ctypes.data_as(c_void_p)
        self._library.call(f"score_{name}", self._handle, *arguments, *out)
        return score.value, score.std, tuple(crops.tolist())


def error_of(function):
    """The class of an error, by its name in Python, and its text."""
    with pytest.raises((CError, LifeIQAError)) as raised:
        function()
    return getattr(raised.value, "kind", type(raised.value).__name__), str(raised.value)


def errors(library, path, **options):
    """What Python and C++ say of a model file, see `error_of`."""

    def in_cpp():
        with library.scorer(path, **options):
            pass

    for_python = {name: value for name, value in options.items() if name != "provider"}
    if "provider" in options:
        for_python |= {"runtime": "onnxruntime", "device": options["provider"]}
    return error_of(lambda: Scorer(path, **for_python)), error_of(in_cpp)
