"""Memory of results that a caller holds on the device, freed in the order of its stream."""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from lifeiqa.errors import DeviceError
from lifeiqa.runtimes.base import Closeable
from lifeiqa.runtimes.cuda.api import Cuda

MOST_BLOCKS = 256
"""Blocks that may wait to be freed; one more, and all are freed after waiting for the device."""


class ResultMemory(Closeable):
    """Device memory of results.

    A caller may drop a result while its stream has yet to write or read it. ``cudaFree`` does not
    wait for that: memory of ``cudaMallocAsync`` must be freed in the stream that uses it. And the
    garbage collector drops results in any thread, also while something is captured, when no call
    of CUDA is allowed. So `give_back` only takes down the block. The next `allocate` in the same
    stream frees it there, after all work that the stream got before. The stream exists then, for
    the caller names it. `close` waits for the device and frees the rest.

    `give_back` may be called from any thread; the other methods take turns.

    Args:
        cuda: of the device.
    """

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._returned: deque[tuple[int, int]] = deque()  # pointer, stream
        self._closed = False

    def allocate(self, size: int, stream: int) -> int:
        """A pointer to ``size`` bytes that are there for what follows in a stream."""
        if len(self._returned) > MOST_BLOCKS:  # of streams that do not come back
            self._free_all()
        for _ in range(len(self._returned)):
            block = self._returned.popleft()
            if block[1] == stream:
                self._cuda.free_in(stream, block[0])
            else:
                self._returned.append(block)
        return self._cuda.allocate(size, stream)

    def give_back(self, pointer: int, stream: int) -> None:
        """Have memory of `allocate` freed after what is in its stream by then."""
        self._returned.append((pointer, stream))
        if self._closed:
            with suppress(DeviceError):  # nobody is there to hear of it
                self._free_all()

    def close(self) -> None:
        """Free what was given back. What is given back later is freed at once."""
        self._closed = True
        self._free_all()

    def _free_all(self) -> None:
        if not self._returned:
            return
        with self._cuda.current():
            self._cuda.synchronize_device()
            with suppress(IndexError):  # empty
                while True:
                    self._cuda.free(self._returned.popleft()[0])
