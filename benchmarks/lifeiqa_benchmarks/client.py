"""The other end of a `lifeiqa_benchmarks.worker`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from types import TracebackType
from typing import IO, Any, Self

from lifeiqa.errors import WorkerError
from lifeiqa_benchmarks.candidate import Candidate

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Client:
    """A process with one candidate. Use it as a context manager.

    Attributes:
        load_s: from the start of the process until the session was open, in seconds.
        first_score_s: until the first crop was scored.

    Raises:
        WorkerError: the candidate cannot be opened.
    """

    def __init__(self, candidate: Candidate, *, threads: int) -> None:
        environment = {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
        self._owned = ExitStack()
        errors = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the process
        self._errors: IO[bytes] = self._owned.enter_context(errors)
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lifeiqa_benchmarks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        try:
            chosen = {"runtime": candidate.runtime, "device": candidate.device}
            self.ask("open", file=str(candidate.file), threads=threads, **chosen)
            self.load_s = time.perf_counter() - begun
            self.ask("measure", batch=1, seconds=0)
            self.first_score_s = time.perf_counter() - begun
        except BaseException:
            self.close()
            raise

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command to the worker and wait for its answer.

        Raises:
            WorkerError: the command failed, or the process is gone.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps({"do": command, **arguments}), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerError(f"the process ended by itself: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(timeout=10)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._owned.close()

    def _last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"exit status {status}" + (f", {lines[-1]}" if lines else "")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
