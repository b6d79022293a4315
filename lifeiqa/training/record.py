"""The folder of a run.

::

    recipe.toml          every setting; `lifeiqa train --recipe` takes it
    data.json            the tables of the task: names, sizes, fingerprints
    environment.json     versions, device, processes, threads
    metrics.jsonl        a line for each epoch
    best.safetensors     the epoch that validation likes best so far
    last.pt              what `--resume` needs, after every epoch
    NAME.safetensors     the model, at the end
    tensorboard/         where TensorBoard is installed

A process may be killed at any moment: each file is replaced whole, and what was
written after the last ``last.pt`` is written again, the same, by a run that resumes from it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import pickle
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from lifeiqa.errors import TrainingError
from lifeiqa.files import atomic_write

_PACKAGES = ("lifeiqa", "torch", "timm", "accelerate", "numpy", "pillow", "scipy", "safetensors")


def is_main() -> bool:
    """Whether this process is alone, or the first of those that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


class RunFolder:
    """Files of one run; only the main process of several writes them.

    Args:
        folder: made when missing.
        writes: whether this process is the main one.
    """

    def __init__(self, folder: Path, *, writes: bool) -> None:
        self.folder, self.writes = folder, writes
        self.best, self.last = folder / "best.safetensors", folder / "last.pt"
        self._board: Any = None

    def begin(self, settings_toml: str, data: dict[str, Any]) -> None:
        """A new run.

        Raises:
            TrainingError: the folder holds one already.
        """
        if self.last.exists() or (self.folder / "metrics.jsonl").exists():
            raise TrainingError(
                f"{self.folder} holds a run already: add --resume, or choose another folder"
            )
        self._write("recipe.toml", settings_toml)
        self._write("data.json", _data_text(data))

    def resume(self, settings_toml: str, data: dict[str, Any]) -> dict[str, Any]:
        """The state after the last finished epoch.

        Raises:
            TrainingError: there is none, it is damaged, or the run was begun with other settings
                or data.
        """
        if not self.last.is_file():
            raise TrainingError(f"{self.last}: there is no run to resume; leave out --resume")
        self.require(settings_toml, data)
        for half in self.folder.glob(".*.part") if self.writes else ():
            half.unlink()  # what a kill left of `atomic_write`
        try:
            state: dict[str, Any] = torch.load(self.last, weights_only=True, map_location="cpu")
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise TrainingError(
                f"{self.last} is damaged: {error}. Begin the run anew in another folder"
            ) from error
        return state

    def require(self, settings_toml: str, data: dict[str, Any]) -> None:
        """Refuse other settings and other data than those that the run was begun with.

        Raises:
            TrainingError: they are others; the message names the first that differ.
        """
        recipe = self.folder / "recipe.toml"
        begun = recipe.read_text("utf-8") if recipe.is_file() else ""
        if begun != settings_toml:
            changed = sorted(set(settings_toml.splitlines()) ^ set(begun.splitlines()))
            raise TrainingError(
                f"{recipe}: the run was begun with other settings ({'; '.join(changed[:6])}). "
                f"Resume it with its own: --recipe {recipe}"
            )
        file = self.folder / "data.json"
        if not file.is_file() or file.read_text("utf-8") != _data_text(data):
            raise TrainingError(
                f"{file}: the run was begun on other images or scores. Resume it on its own, or "
                f"choose another folder"
            )

    def environment(self, **more: Any) -> None:
        """Note where the run takes place."""
        versions = {}
        for name in _PACKAGES:
            with contextlib.suppress(metadata.PackageNotFoundError):
                versions[name] = metadata.version(name)
        noted = {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "packages": versions,
            **more,
        }
        self._write("environment.json", json.dumps(noted, indent=1) + "\n")

    def log(self, rows: list[dict[str, Any]]) -> None:
        """Every epoch so far; the last row is new."""
        lines = [json.dumps({k: _finite(v) for k, v in row.items()}) + "\n" for row in rows]
        self._write("metrics.jsonl", "".join(lines))
        board = self._tensorboard()
        for name, value in rows[-1].items() if board is not None else ():
            if isinstance(value, float):
                board.add_scalar(name, value, len(rows))

    def save(self, state: dict[str, Any]) -> None:
        """What `resume` gives back, whole or not at all."""
        if self.writes:
            with atomic_write(self.last) as temporary:
                torch.save(state, temporary)

    def _write(self, name: str, text: str) -> None:
        if self.writes:
            with atomic_write(self.folder / name) as temporary:
                temporary.write_text(text, "utf-8")

    def _tensorboard(self) -> Any:
        if not self.writes or importlib.util.find_spec("tensorboard") is None:
            return None
        if self._board is None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.folder / "tensorboard"))
        return self._board

    def close(self) -> None:
        """Let go of TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def _data_text(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=1) + "\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
