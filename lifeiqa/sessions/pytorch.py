"""The PyTorch reference as a session."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from lifeiqa.errors import ConfigError
from lifeiqa.image import Pixels
from lifeiqa.manifest import Manifest
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.network import ScoringModel
from lifeiqa.session import Array, Closing, Scores, Session, Trace, check_crops


class PyTorchSession(Closing):
    """Runs a `ScoringModel` as it is: sparse or dense, float32 or half.

    The session keeps a copy of the module in evaluation mode, so that training may go on with the
    original. The number of threads belongs to the process in PyTorch, so it is not set here.

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
        form = ", compiled" if compiled else ""
        self.runtime = f"PyTorch {torch.__version__} {device} {arithmetic}{form}"

    @torch.inference_mode()
    def run(self, crops: Pixels) -> Scores:
        """See `Session.run`."""
        scores: Scores = self._loaded(self._tensor(crops)).score.float().cpu().numpy()
        return scores

    @torch.inference_mode()
    def trace(self, crops: Pixels) -> Trace | None:
        """See `Traceable.trace`."""
        model = self._loaded
        routing, router = model(self._tensor(crops)).routing, model.network.head.router
        if routing is None or router is None:
            return None
        return Trace(_numpy(routing.inputs), _numpy(routing.logits), _numpy(router.weight))

    def close(self) -> None:
        """See `Session.close`."""
        self._model = None

    @property
    def _loaded(self) -> ScoringModel:
        if self._model is None:
            raise ConfigError("the session is closed: open another one")
        return self._model

    def _tensor(self, crops: Pixels) -> torch.Tensor:
        check_crops(crops, self.manifest.config.crop_size)
        return torch.tensor(crops, device=self.device)


def open_checkpoint(
    path: Path, *, provider: str | None, threads: int | None, compiled: bool = False
) -> Session:
    """Open a checkpoint, see `lifeiqa.open_session`. Threads are set for the process."""
    if provider == "cuda" and not torch.cuda.is_available():
        raise ConfigError("provider is 'cuda', and PyTorch sees no CUDA device; use provider cpu")
    if threads is not None:
        torch.set_num_threads(threads)
    device = provider or ("cuda" if torch.cuda.is_available() else "cpu")
    network, manifest = load_checkpoint(path)
    model = ScoringModel(network, manifest.preprocessing, manifest.labels)
    return PyTorchSession(model, manifest, device=device, compiled=compiled)


def _numpy(tensor: torch.Tensor) -> Array:
    array: Array = tensor.float().cpu().numpy()
    return array
