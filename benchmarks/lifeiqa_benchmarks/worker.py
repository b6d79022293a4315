"""A process that runs one candidate and does what it is told, one line of JSON at a time.

Each candidate has a process of its own: thread pools of two runtimes in one process fight, and
memory and start of a runtime can be told apart only so. Started by `lifeiqa_benchmarks.client`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_WARM_UP_RUNS, _WARM_UP_SECONDS = 3, 0.5


class Worker:
    """One session, and what is measured on it. Each method is a command."""

    def __init__(self, file: str, runtime: str, device: str, threads: int) -> None:
        started = time.perf_counter()
        self.session = _open(Path(file), runtime, device, threads)
        self.opened = time.perf_counter() - started
        size = self.session.manifest.config.crop_size
        generator = np.random.default_rng(0)
        self.crops = generator.integers(0, 256, (1, size, size, 3), dtype=np.uint8)

    def about(self) -> dict[str, Any]:
        """The runtime in its own words, and how long opening took, in seconds."""
        return {"runtime": self.session.runtime, "open_s": self.opened}

    def warm_up(self, batch: int) -> dict[str, Any]:
        """Run a batch size at least three times and half a second; gives the first run's time."""
        crops = self._batch(batch)
        begun = time.perf_counter()
        times: list[float] = []
        while len(times) < _WARM_UP_RUNS or time.perf_counter() - begun < _WARM_UP_SECONDS:
            times.append(_seconds(lambda: self.session.run(crops)))
        return {"first_s": times[0]}

    def measure(self, batch: int, seconds: float) -> dict[str, Any]:
        """Latencies in ms of run after run, at least one, for some seconds; none is left out."""
        crops = self._batch(batch)
        begun = time.perf_counter()
        times: list[float] = []
        while not times or time.perf_counter() - begun < seconds:
            times.append(_seconds(lambda: self.session.run(crops)) * 1e3)
        return {"ms": times}

    def device(self, batch: int, runs: int) -> dict[str, Any]:
        """Latencies in ms on the GPU alone; none without one. See `lifeiqa_benchmarks.device`."""
        from lifeiqa_benchmarks.device import device_times

        return {"ms": device_times(self.session, self._batch(batch), runs)}

    def score(self, crops: str, scores: str, batch: int) -> dict[str, Any]:
        """Score the crops of one .npy file into another, in batches of one size.

        The last one is filled up: a runtime that compiles for each size would compile for it alone.
        """
        from lifeiqa.runtimes.batching import filled

        given = np.load(crops, mmap_mode="r")
        parts = [
            self.session.run(np.ascontiguousarray(filled(given[start : start + batch], batch)))
            for start in range(0, len(given), batch)
        ]
        np.save(scores, np.concatenate(parts)[: len(given)])
        return {}

    def stages(self, images: list[str], batch: int) -> dict[str, Any]:
        """Seconds in decoding, resizing and cropping, and inference, over some images.

        With a batch of 0 each image is scored by itself; otherwise crops are gathered across
        images into batches of that size.
        """
        from lifeiqa.preprocess.crops import crops_from_pixels
        from lifeiqa.preprocess.decode import decode
        from lifeiqa.runtimes.batching import filled

        manifest = self.session.manifest
        size = manifest.config.crop_size
        spent = {"decode": 0.0, "resize and crop": 0.0, "inference": 0.0}
        waiting: list[Any] = []
        warm: set[int] = set()  # numbers of crops; images may have different ones

        def infer(least: int) -> None:
            while waiting and sum(map(len, waiting)) >= least:
                crops = np.concatenate(waiting)
                waiting[:] = [crops[batch:]] if batch and len(crops) > batch else []
                taken = filled(crops[:batch], batch) if batch else crops
                if len(taken) not in warm:
                    self.warm_up(len(taken))
                    warm.add(len(taken))
                begun = time.perf_counter()
                self.session.run(taken)
                spent["inference"] += time.perf_counter() - begun

        for image in images:
            begun = time.perf_counter()
            pixels = decode(Path(image))
            decoded = time.perf_counter()
            waiting.append(crops_from_pixels(pixels, manifest.preprocessing, size))
            spent["decode"] += decoded - begun
            spent["resize and crop"] += time.perf_counter() - decoded
            infer(max(batch, 1))
        infer(1)
        return {"seconds": spent, "images": len(images)}

    def product(self, size: int, seconds: float) -> dict[str, Any]:
        """The best rate of a float32 matrix product of numpy, in FLOP/s: this process' peak."""
        a = np.random.default_rng(0).random((size, size), dtype=np.float32)
        begun, best = time.perf_counter(), 0.0
        while time.perf_counter() - begun < seconds:
            best = max(best, 2 * size**3 / _seconds(lambda: a @ a))
        return {"flops": best}

    def flops(self) -> dict[str, Any]:
        """Floating-point operations for one crop, 2 a multiply-add, counted by PyTorch."""
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            self.session.run(self._batch(1))
        return {"flops": counter.get_total_flops()}

    def memory(self) -> dict[str, Any]:
        """Most resident memory of this process so far, in bytes."""
        import resource

        return {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}

    def _batch(self, batch: int) -> Any:
        return np.ascontiguousarray(np.broadcast_to(self.crops, (batch, *self.crops.shape[1:])))


def _open(file: Path, runtime: str, device: str, threads: int) -> Any:
    from lifeiqa.runtimes import open_session
    from lifeiqa_benchmarks.candidate import COMPILED

    if runtime == COMPILED:
        from lifeiqa.runtimes.pytorch.session import open_checkpoint

        return open_checkpoint(file, device=device, threads=threads, compiled=True)
    return open_session(file, runtime=runtime, device=device, threads=threads)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Read commands from standard input until it ends."""
    # Libraries print where they like; answers go where nothing else does.
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        worker: Worker | None = None
        for line in sys.stdin:
            command = json.loads(line)
            name, arguments = command.pop("do"), command
            try:
                if name == "open":
                    worker, answer = Worker(**arguments), {}
                else:
                    answer = getattr(worker, name)(**arguments)
            except Exception as error:  # whatever a runtime raises is the candidate's result
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
