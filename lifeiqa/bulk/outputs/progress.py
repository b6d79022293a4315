"""A progress line on the terminal."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterable
from typing import NoReturn

from tqdm import tqdm

from lifeiqa.bulk.outputs.ledger import Shard
from lifeiqa.bulk.rows import Row
from lifeiqa.errors import LifeIQAError
from lifeiqa.runtimes.base import Closeable


class Progress(Closeable):
    """Inputs done, inputs per second, time left and failures so far, on standard error.

    Args:
        shown: whether to show it. It is shown only on a terminal.
        total: counts the inputs. It runs on a thread of its own, since a folder of a million files
            takes a while. None if they cannot be counted in advance.
    """

    def __init__(self, *, shown: bool, total: Callable[[], int] | None) -> None:
        shown = shown and sys.stderr is not None and sys.stderr.isatty()
        self._bar: tqdm[NoReturn] = tqdm(
            disable=not shown, file=sys.stderr, unit=" inputs", smoothing=0.05, mininterval=0.5
        )
        self._failures = 0
        if shown and total is not None:
            threading.Thread(target=self._count_inputs, args=[total], daemon=True).start()

    def skip(self, shards: Iterable[Shard]) -> None:
        """Count the shards of an earlier run. They do not count for the speed."""
        shards = list(shards)
        self._bar.initial = self._bar.n = sum(shard.items for shard in shards)
        self._failures += sum(shard.failures for shard in shards)
        self._show_failures()

    def count(self, row: Row) -> None:
        """Count a row. A row of a frame does not complete its input, the video."""
        if row.error is not None:
            self._failures += 1
            self._show_failures()
        if row.frame is None:
            self._bar.update()

    def close(self) -> None:
        """Leave the line as it is, and continue below it."""
        self._bar.close()

    def _show_failures(self) -> None:
        if self._failures:
            self._bar.set_postfix_str(f"{self._failures} failed", refresh=False)

    def _count_inputs(self, total: Callable[[], int]) -> None:
        with contextlib.suppress(LifeIQAError, OSError):  # the run itself reports it
            self._bar.total = total()
