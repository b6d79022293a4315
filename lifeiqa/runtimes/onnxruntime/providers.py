"""The device that was asked for runs an ONNX Runtime session, or it is an error.

ONNX Runtime calls what runs a node an execution provider.

ONNX Runtime falls back to the CPU in four ways. A provider whose libraries do not load is left out,
with at most a line in the log. The Python package reopens on the CPU a session that a provider
refuses, and one that fails in a run. And a CPU provider is always added after those that were
named, for the nodes that they do not take. The first three are refused here. The last is left to
the CUDA graph: ONNX Runtime refuses to record one where a tensor goes to the CPU and back, and
allows nodes that only compute shapes; ``session.disable_cpu_ep_fallback`` would refuse both. So a
trace, which records no graph, may have nodes on the CPU; a score cannot.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import warnings
from pathlib import Path
from typing import Any

from lifeiqa.errors import ConfigError, DeviceError, MissingDependencyError, require
from lifeiqa.runtimes.cuda.driver import cuda_device

_NAMES = {"cuda": "CUDAExecutionProvider", "cpu": "CPUExecutionProvider"}
_EXTRAS = {"cuda": "gpu", "cpu": "cpu"}
_LIBRARIES = ("onnxruntime_providers_shared", "onnxruntime_providers_cuda")


def words_of(device: str) -> str:
    """What ONNX Runtime would run on a device, ``"ONNX Runtime 1.32.0 CUDA"``.

    Without a driver the package is not loaded for CUDA.

    Raises:
        MissingDependencyError: the package is not installed, or not the one with CUDA.
        DeviceError: CUDA has no driver or no device.
    """
    if device == "cuda":
        cuda_device()
    ort: Any = require("onnxruntime", extra=_EXTRAS[device], purpose="an ONNX model")
    if _NAMES[device] not in ort.get_available_providers():
        raise MissingDependencyError(
            f"this onnxruntime was built without CUDA. For CUDA: "
            f"pip install 'lifeiqa[{_EXTRAS[device]}]'",
            name="onnxruntime",
        )
    return f"ONNX Runtime {ort.__version__} {device.upper()}"


def chosen_device(ort: Any, asked: str | None) -> str:
    """``"cuda"`` or ``"cpu"``: what was asked for; else CUDA where package and driver have it.

    Args:
        ort: the module ``onnxruntime``. Where CUDA is chosen, its libraries are loaded and the
            package's own logger is silenced.
        asked: ``"cuda"``, ``"cpu"`` or None.

    Raises:
        ConfigError: the package does not have the device.
        DeviceError: CUDA was asked for, and there is no driver or no device.
    """
    available = ort.get_available_providers()
    if asked is not None and _NAMES[asked] not in available:
        raise ConfigError(
            f"device is {asked!r}, and this onnxruntime has {', '.join(available)}. "
            f"For CUDA: pip install 'lifeiqa[gpu]'"
        )
    if asked == "cpu" or _NAMES["cuda"] not in available:
        return "cpu"
    try:
        cuda_device()
    except DeviceError as error:
        if asked is None:
            return "cpu"
        raise DeviceError(f"device is 'cuda': {error}. Or use device cpu") from None
    _silence(ort)
    _preload(ort)
    return "cuda"


def session_on(ort: Any, model: str | bytes, options: Any, device: str, *, graphs: bool) -> Any:
    """Open an ``onnxruntime.InferenceSession`` on one device, without a fallback to the CPU.

    Args:
        ort: the module ``onnxruntime``.
        model: a path, or the bytes of a model.
        options: ``onnxruntime.SessionOptions``.
        device: ``"cuda"`` or ``"cpu"``.
        graphs: with CUDA, record CUDA graphs; every run must then use bound buffers.

    Raises:
        ConfigError: CUDA cannot run a model that the CPU can, or another provider took it.
        Exception: ONNX Runtime's own, for a model that cannot be loaded.
    """
    try:
        session = _opened(ort, model, options, _arguments(device, graphs))
    except Exception as error:  # onnxruntime raises classes of a private module
        if device == "cpu" or not _runs_on_cpu(ort, model, options):
            raise
        raise ConfigError(
            f"ONNX Runtime {ort.__version__} cannot run it with CUDA: {error}. "
            f"Use device cpu, or see whether nvidia-smi works"
        ) from error
    session.disable_fallback()  # the same for a run, in releases that ignore enable_fallback
    running = session.get_providers()[0]
    if running != _NAMES[device]:
        raise ConfigError(
            f"{_NAMES[device]} was asked for, and ONNX Runtime {ort.__version__} took "
            f"{running}: {_reason(ort)}. "
            f"Install CUDA {getattr(ort, 'cuda_version', '')} and cuDNN, as pip install "
            f"'lifeiqa[gpu]' does, or use device cpu"
        )
    return session


def _arguments(device: str, graphs: bool) -> list[Any]:
    if device == "cpu":
        return [_NAMES["cpu"]]
    settings = {  # no device_id, which is 0: named, 1.31 looks for it in a plug-in first and warns
        "enable_cuda_graph": "1" if graphs else "0",
        "use_tf32": "0",  # on by default: float32 products would keep 10 bits of each factor
    }
    return [(_NAMES["cuda"], settings)]


def _opened(ort: Any, model: str | bytes, options: Any, providers: list[Any]) -> Any:
    return ort.InferenceSession(model, options, providers=providers, enable_fallback=0)


def _runs_on_cpu(ort: Any, model: str | bytes, options: Any) -> bool:
    with contextlib.suppress(Exception):
        _opened(ort, model, options, _arguments("cpu", graphs=False))
        return True
    return False


def _silence(ort: Any) -> None:
    """Let only fatal messages through the logger of the process.

    The CUDA provider writes to it, not to that of the session: with cuDNN 9, a line "No execution
    plans support the graph" for each convolution that it then runs by another kernel. What fails is
    raised, see `session_on`. The level cannot be read, so it is not put back.
    """
    ort.set_default_logger_severity(4)


def _preload(ort: Any) -> None:
    """Load the libraries of CUDA from the packages of PyTorch or NVIDIA, where there are any.

    ONNX Runtime prints what cannot be loaded. It may still find it on the path: the session tells.
    """
    preload = getattr(ort, "preload_dlls", None)  # from 1.21 on
    if preload is None:
        return
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        preload()


def _reason(ort: Any) -> str:
    """Why the CUDA provider was left out; ONNX Runtime writes that only to its log."""
    folder = Path(ort.__file__).parent / "capi"
    pattern = "{}.dll" if os.name == "nt" else "lib{}.so"
    try:
        for library in _LIBRARIES:
            ctypes.CDLL(str(folder / pattern.format(library)), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return str(error)
    return "its libraries load, so the reason is not known"
