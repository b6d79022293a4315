"""The whole run: exports and compilers work side by side first, then one part after another
measures on a quiet machine.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeiqa.errors import installed
from lifeiqa_benchmarks.gpu.records import RECORDS, REPORT, Records, last_words, write_report
from lifeiqa_benchmarks.machine import machine

_PART = "lifeiqa_benchmarks.gpu.part"
"""The module that each process runs."""
_PREPARING = 0.4
"""Share of the time after which measuring begins, even if some preparation is not done."""
_COMPILER = 40.0
"""Seconds for one compiler once it may measure, so that a late one does not delay the others."""
_TOO_LATE = "not measured: the time was up"
_SHARED = {"OMP_NUM_THREADS": "2", "TORCHINDUCTOR_COMPILE_THREADS": "2"}
"""Environment of processes of which many run at the same time."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is measured, and for how long.

    Attributes:
        folder: of everything that is written.
        device: ``"cuda"``; ``"cpu"`` shows that the parts run.
        networks: of `lifeiqa_benchmarks.gpu.networks.NETWORKS`, in order of worth.
        batches: crops a run, in order of worth.
        minutes: after which nothing more is begun, and what runs is ended.
        seconds: of one series of runs.
        compiled: measure torch.compile as well.
        awaited: a file that ONNX Runtime's part waits for, or None.
    """

    folder: Path
    device: str
    networks: tuple[str, ...]
    batches: tuple[int, ...]
    minutes: float
    seconds: float
    compiled: bool = True
    awaited: Path | None = None


class Part:
    """A process of the run, `lifeiqa_benchmarks.gpu.part`, with its outputs in files."""

    def __init__(self, settings: Settings, name: str, *options: str, shared: bool) -> None:
        self.name = name
        stem = "-".join([name, *(each for each in options if not each.startswith("-"))])
        self._out, self._log = (settings.folder / f"{stem}.{end}" for end in ("out", "log"))
        command = [sys.executable, "-m", _PART, name, *options]
        command += ["--folder", str(settings.folder), "--device", settings.device]
        command += ["--seconds", str(settings.seconds)]
        with self._out.open("wb") as out, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=log,
                env={**os.environ, **(_SHARED if shared else {})},
                start_new_session=True,  # so that its own children can be ended with it
            )

    @property
    def ready(self) -> bool:
        """Whether the process printed ``ready`` or has ended."""
        return self._process.poll() is not None or b"ready" in self._out.read_bytes()

    def go(self) -> None:
        """Tell a process that waits to go on."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(b"go\n")
            self._process.stdin.close()

    def finish(self, limit: float) -> str | None:
        """Wait until it has ended, or end it. Returns what went wrong, or None."""
        try:
            status = self._process.wait(max(0.1, limit))
        except subprocess.TimeoutExpired:
            return f"{_TOO_LATE}; the process was ended"
        finally:
            self.end()
        return None if status == 0 else f"exit status {status}: {last_words(self._log)}"

    def end(self) -> None:
        """End it and its children."""
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()


class Run:
    """One run with its processes and its records."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        path = settings.folder / RECORDS
        path.unlink(missing_ok=True)
        self._records = Records(path)
        self._begun = time.monotonic()
        self._parts: list[Part] = []

    def do(self) -> Path:
        """Measure what the time allows. Returns the path of the report, which is always written."""
        networks, batches = self.settings.networks, self.settings.batches
        self._records.add("machine", **machine(), settings=_plain(self.settings))
        try:
            exports = {
                network: [
                    self._start("export", network, "--precision", precision, shared=True)
                    for precision in ("fp16", "fp32")
                ]
                for network in networks
            }
            compilers = {
                (network, batch): self._start(
                    "compile", network, "--batches", str(batch), shared=True
                )
                for batch in batches
                for network in networks
                if self.settings.compiled
            }
            self._prepare(
                [*compilers.values(), *(each for two in exports.values() for each in two)]
            )
            sizes = ("--batches", ",".join(map(str, batches)))
            for network in networks:
                self._measure("eager", network, *sizes)
            for (network, batch), compiler in compilers.items():
                compiler.go()
                self._finish(compiler, most=_COMPILER, network=network, batch=batch)
            self._await()
            for network in networks:
                for export in exports[network]:
                    self._finish(export, network=network)
                self._measure("graphs", network, *sizes)
            if installed("tensorrt_rtx"):
                self._measure("refusal", networks[0])
        finally:
            for part in self._parts:
                part.end()
            self._records.add("end", seconds=round(self._spent(), 1))
            self._write()
        return self.settings.folder / REPORT

    def _prepare(self, parts: Iterable[Part]) -> None:
        """Wait for the parts that need the cores, for a limited time."""
        until = 60 * self.settings.minutes * _PREPARING
        waiting = list(parts)
        while waiting and self._spent() < until:
            waiting = [each for each in waiting if not each.ready]
            time.sleep(0.2)
        self._records.add("prepared", seconds=round(self._spent(), 1), late=len(waiting))
        self._write()

    def _measure(self, name: str, network: str, *options: str) -> None:
        if self._left() <= 0:
            self._records.add("error", part=name, network=network, error=_TOO_LATE)
            return
        self._finish(self._start(name, network, *options, shared=False), network=network)

    def _finish(self, part: Part, *, most: float = math.inf, **what: Any) -> None:
        wrong = part.finish(min(most, self._left()))
        if wrong is not None:
            self._records.add("error", part=part.name, **what, error=wrong)
        self._write()

    def _await(self) -> None:
        awaited = self.settings.awaited
        while awaited is not None and not awaited.exists() and self._left() > 0:
            time.sleep(0.5)

    def _start(self, name: str, *options: str, shared: bool) -> Part:
        self._parts.append(Part(self.settings, name, *options, shared=shared))
        return self._parts[-1]

    def _spent(self) -> float:
        return time.monotonic() - self._begun

    def _left(self) -> float:
        return 60 * self.settings.minutes - self._spent()

    def _write(self) -> None:
        write_report(self.settings.folder)


def _plain(settings: Settings) -> dict[str, Any]:
    """The settings without paths, which mean nothing on another machine."""
    hidden = ("folder", "awaited")
    return {key: value for key, value in vars(settings).items() if key not in hidden}
