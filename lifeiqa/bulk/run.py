"""A run: items in, rows out, shard by shard."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeAlias, TypeVar

from lifeiqa.bulk.items import Item
from lifeiqa.bulk.outputs.gallery import Gallery
from lifeiqa.bulk.outputs.ledger import Ledger, Shard
from lifeiqa.bulk.outputs.run_folder import Names
from lifeiqa.bulk.outputs.writers import Writer
from lifeiqa.bulk.rows import Row
from lifeiqa.bulk.work.batches import scored
from lifeiqa.bulk.work.decoder import Task
from lifeiqa.bulk.work.pool import Pool
from lifeiqa.errors import ConfigError
from lifeiqa.preprocess.crops import CropPlan
from lifeiqa.scorer import Scorer

T = TypeVar("T")

OpenShard: TypeAlias = Callable[[int], contextlib.AbstractContextManager[Writer]]
"""Opens the writer for the shard of a number; what it wrote is kept when the context ends well."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a run goes about its work; no score depends on it beyond the runtime's rounding.

    Attributes:
        workers: processes that decode.
        batch: crops in one run of the session.
        seconds: of processor time that an image, or a frame of a video, may take to decode.
        shard: inputs in a shard; no batch reaches over its end.
    """

    workers: int
    batch: int = 8
    seconds: float = 5.0
    shard: int = 1000

    def __post_init__(self) -> None:
        for name in ("workers", "batch", "shard"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: at least 1 is expected")
        if not 0 < self.seconds < 86400:
            raise ConfigError(f"timeout is {self.seconds} s: more than 0 and under a day")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def score_items(
    items: Iterator[Item],
    scorer: Scorer,
    plan: Plan,
    *,
    open_shard: OpenShard,
    ledger: Ledger,
    first: int = 0,
    gallery: Gallery | None = None,
    saw: Callable[[Row], None] = lambda row: None,
) -> list[Shard]:
    """Score items; rows come in their order.

    Args:
        items: what is left to be scored.
        scorer: holds the session.
        plan: how to go about it.
        open_shard: takes the rows.
        ledger: knows the images that were scored before.
        first: number of the first shard.
        gallery: takes the rows with their thumbnails; None where nobody wants them.
        saw: told of every row.

    Returns:
        The shards that were made.

    Raises:
        OutputError: the rows cannot be written.
        WorkerError: no process can be started to decode.
    """
    preprocessing = scorer.preprocessing
    task = Task(
        preprocessing,
        scorer.manifest.config.crop_size,
        scorer.max_pixels,
        thumbnails=gallery is not None,
        seconds=plan.seconds,
    )
    finished = []
    with Pool(task, plan.workers, CropPlan.parse(preprocessing.crops).count) as pool:
        decoded = pool.decoded(items)
        for number, chunk in enumerate(_chunks(decoded, plan.shard), first):
            names, rows, failures = Names(), 0, 0
            with open_shard(number) as writer, _batch(gallery, number) as show:
                for entry in scored(names.of(chunk), scorer, ledger, batch=plan.batch):
                    writer.write(entry.row)
                    show(entry.row, entry.thumbnail)
                    saw(entry.row)
                    rows += 1
                    failures += entry.row.error is not None
                # Before the shard takes its name: see `lifeiqa.bulk.outputs.run_folder`.
                shard = Shard(number, names.count, names.digest, rows, failures)
                ledger.finish(shard)
            finished.append(shard)
    return finished


def _batch(
    gallery: Gallery | None, number: int
) -> contextlib.AbstractContextManager[Callable[[Row, bytes | None], None]]:
    if gallery is None:
        return contextlib.nullcontext(lambda row, thumbnail: None)
    return gallery.batch(number)


def _chunks(values: Iterator[T], size: int) -> Iterator[Iterator[T]]:
    """Cut an iterator into iterators over ``size`` values each, to be used up one by one."""
    for value in values:
        yield chain([value], islice(values, size - 1))
