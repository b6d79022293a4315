"""A fake of the package onnxruntime-gpu on a machine with a GPU, for tests without either.

Models really run, on ONNX Runtime's CPU provider. What is fake: the provider's name, the device of
a buffer, and the driver's answer. So the tests cover what lifeiqa asks for, in which order, and
what it does with the answers; not CUDA.
"""

from __future__ import annotations

import os
from types import SimpleNamespace

import onnxruntime

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
ERROR = 3
"""Severity of a message in ONNX Runtime's log."""


class FakeOnnxRuntime:
    """What the module ``onnxruntime`` of the GPU package is to its caller.

    Args:
        runs: the provider that a session says it runs on when CUDA was asked for.
        refusal: the error of a session that is opened with CUDA.
    """

    cuda_version = "13.0"

    def __init__(self, *, runs=CUDA, refusal=None):
        self.runs, self.refusal = runs, refusal
        self.events, self.sessions, self.devices = [], [], []
        self.severity = 2  # of the logger of the process: warnings and worse
        self.OrtValue = SimpleNamespace(ortvalue_from_shape_and_type=self._allocate)

    def __getattr__(self, name):
        return getattr(onnxruntime, name)

    def get_available_providers(self):
        return ["TensorrtExecutionProvider", CUDA, CPU]

    def set_default_logger_severity(self, severity):
        self.severity = severity

    def log(self, words):
        """What the CUDA provider says to the logger of the process, whatever that of a session."""
        if self.severity <= ERROR:
            os.write(2, f"[E:onnxruntime:Default] {words}\n".encode())

    def preload_dlls(self):
        self.events.append("preload_dlls")
        print("Failed to load libcufft.so.12")

    def InferenceSession(self, model, options, *, providers, enable_fallback=1):  # noqa: N802
        self.events.append((providers, enable_fallback))
        on_cuda = providers != [CPU]
        if on_cuda:
            self.log("opened")
        if on_cuda and self.refusal is not None:
            raise self.refusal
        real = onnxruntime.InferenceSession(model, options, providers=[CPU])
        self.sessions.append(FakeSession(self, real, self.runs if on_cuda else CPU))
        return self.sessions[-1]

    def _allocate(self, shape, kind, device, index):
        self.devices.append((tuple(shape), device, index))
        return onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, kind, "cpu", index)


class FakeSession:
    """A real session on the CPU that says it runs elsewhere."""

    def __init__(self, module, real, provider):
        self.module, self.real, self.provider = module, real, provider
        self.graph_ids, self.may_fall_back, self.failure = [], True, None

    def __getattr__(self, name):
        return getattr(self.real, name)

    def get_providers(self):
        return list(dict.fromkeys([self.provider, CPU]))

    def disable_fallback(self):
        self.may_fall_back = False

    def run_with_iobinding(self, binding, options):
        if self.failure is not None:
            raise self.failure
        self.module.log("[cudnn_frontend] Error: No execution plans support the graph.")
        self.graph_ids.append(options.get_run_config_entry("gpu_graph_id"))
        self.real.run_with_iobinding(binding, options)
