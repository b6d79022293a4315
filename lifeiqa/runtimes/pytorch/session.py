"""The PyTorch reference as a session."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.errors import ConfigError, DeviceError
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.network import ScoringModel
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.runtimes.base import Array, Closeable, Scores, Session, Trace, check_crops

_PRODUCTS = frozenset(
    [
        *(torch.conv2d, torch.nn.functional.linear, torch.bmm, torch.matmul),
        *(torch.Tensor.matmul, torch.Tensor.__matmul__),
    ]
)


class _Float32Products(TorchFunctionMode):
    """Sums the products of float16 tensors in float32 and rounds the result, as tensor cores do.

    PyTorch's own float16 kernels for a CPU do the same for one number at a time, which is 5 to 20
    times slower on a processor without float16 arithmetic.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _PRODUCTS or args[0].dtype != torch.float16:
            return func(*args, **kwargs)
        widened = [each.float() if isinstance(each, torch.Tensor) else each for each in args]
        return func(*widened, **kwargs).half()


class PyTorchSession(Closeable):
    """Runs a `ScoringModel` as it is: sparse or dense, float32 or half.

    The session keeps a copy of the module in evaluation mode, so the original can be trained on.
    In PyTorch the number of threads belongs to the process, so it is not set here. Products of
    half precision are summed in float32 on a CPU, see `_Float32Products`.

    Args:
        model: what to run.
        manifest: of its checkpoint.
        device: of PyTorch.
        compiled: run it through ``torch.compile``, which needs a C++ compiler; the first run of a
            batch size is then slow.
    """

    def __init__(
        self,
        model: ScoringModel,
        manifest: Manifest,
        *,
        device: str = "cpu",
        compiled: bool = False,
    ) -> None:
        self.manifest = manifest
        self.device = torch.device(device)
        self._model: ScoringModel | None = copy.deepcopy(model).eval().to(self.device)
        if compiled:
            self._model.compile(dynamic=False)
        arithmetic = str(model.network.dtype).removeprefix("torch.")
        self._widens = arithmetic == "float16" and self.device.type == "cpu"
        sums = ", sums in float32" if self._widens else ""
        form = ", compiled" if compiled else ""
        self.runtime = f"PyTorch {torch.__version__} {device} {arithmetic}{sums}{form}"

    @torch.inference_mode()
    def run(self, crops: Pixels) -> Scores:
        """See `Session.run`."""
        scores: Scores = self.run_tensor(self._tensor(crops)).cpu().numpy()
        return scores

    @torch.inference_mode()
    def run_tensor(self, crops: torch.Tensor) -> torch.Tensor:
        """Score uint8 ``(N, S, S, 3)`` on the session's device; float32 ``(N,)`` stays there."""
        with self._products():
            score: torch.Tensor = self._loaded(crops).score.float()
        return score

    @torch.inference_mode()
    def run_traced(self, crops: Pixels) -> tuple[Scores, Trace | None]:
        """See `Traceable.run_traced`."""
        model = self._loaded
        with self._products():
            score, _, routing = model(self._tensor(crops))
        router, scores = model.network.head.router, _numpy(score)
        if routing is None or router is None:
            return scores, None
        return scores, Trace(_numpy(routing.inputs), _numpy(routing.logits), _numpy(router.weight))

    def close(self) -> None:
        """See `Session.close`."""
        self._model = None

    def _products(self) -> contextlib.AbstractContextManager[Any]:
        return _Float32Products() if self._widens else contextlib.nullcontext()

    @property
    def _loaded(self) -> ScoringModel:
        if self._model is None:
            raise ConfigError("the session is closed: open another one")
        return self._model

    def _tensor(self, crops: Pixels) -> torch.Tensor:
        check_crops(crops, self.manifest.config.crop_size)
        return torch.tensor(crops, device=self.device)


def open_checkpoint(
    path: Path,
    manifest: Manifest | None = None,
    *,
    device: str,
    threads: int | None = None,
    compiled: bool = False,
) -> Session:
    """Open a checkpoint.

    Args:
        path: of the checkpoint.
        manifest: of the checkpoint; None reads it.
        device: ``"cpu"`` or ``"cuda"``.
        threads: CPU threads, set for the whole process; None does not change them.
        compiled: see `PyTorchSession`.

    Raises:
        DeviceError: CUDA was asked for, and PyTorch finds no device.
        ArtifactError, CheckpointError: see `load_checkpoint`.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceError("device is 'cuda', and PyTorch finds no CUDA device. Use device cpu")
    if threads is not None:
        torch.set_num_threads(threads)
    network, manifest = load_checkpoint(path, manifest)
    model = ScoringModel(network, manifest.preprocessing, manifest.labels)
    return PyTorchSession(model, manifest, device=device, compiled=compiled)


def _numpy(tensor: torch.Tensor) -> Array:
    array: Array = tensor.float().cpu().numpy()
    return array
