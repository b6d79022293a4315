"""What the processes of a command take of memory, all of them together."""

from __future__ import annotations

import contextlib
import re
import threading
from pathlib import Path


class Memory:
    """Looks at a process and its descendants until it ends; use it as a context manager.

    Attributes:
        peak: the most that was seen, in bytes. Pages that processes share count once (Pss).
        samples: bytes at each look.
    """

    def __init__(self, process: int, interval: float) -> None:
        self.peak = 0
        self.samples: list[int] = []
        self._process = process
        self._interval = interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(self._interval):
            self.samples.append(sum(map(_pss, _family(self._process))))
            self.peak = max(self.peak, self.samples[-1])


def _family(process: int) -> list[int]:
    found = [process]
    for parent in found:  # which grows
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _pss(process: int) -> int:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
        if found := re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE):
            return int(found[1]) * 1024
    return 0  # it ended meanwhile
