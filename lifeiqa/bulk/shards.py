"""Items in, rows out, shard by shard."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import TypeAlias, TypeVar

from lifeiqa.bulk.assemble import scored
from lifeiqa.bulk.items import Data, Item, Part
from lifeiqa.bulk.outputs.gallery import Gallery
from lifeiqa.bulk.outputs.ledger import Ledger, Shard
from lifeiqa.bulk.outputs.run_folder import Names
from lifeiqa.bulk.outputs.writers import Writer
from lifeiqa.bulk.reading.parts import ReadItem
from lifeiqa.bulk.rows import Row
from lifeiqa.errors import ConfigError
from lifeiqa.preprocess.pipeline import CutImage
from lifeiqa.preprocess.process_pool import ProcessPool, require_usable
from lifeiqa.preprocess.process_worker import Failure
from lifeiqa.scorer import Scorer

T = TypeVar("T")

OpenShard: TypeAlias = Callable[[int], contextlib.AbstractContextManager[Writer]]
"""Opens the writer of shard N. What it wrote is kept if the context ends without an error."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a run works. Scores depend on it only by the runtime's rounding.

    Attributes:
        workers: processes that decode.
        batch: crops in one run of the session.
        seconds: processor time that decoding an image, or a frame of a video, may take.
        shard: inputs in a shard. No batch crosses its end.
    """

    workers: int
    batch: int = 8
    seconds: float = 5.0
    shard: int = 1000

    def __post_init__(self) -> None:
        for name in ("batch", "shard"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: at least 1 is expected")
        require_usable(self.workers, self.seconds, least=1)


def score_items(
    items: Iterator[Item],
    scorer: Scorer,
    plan: Plan,
    *,
    open_shard: OpenShard,
    ledger: Ledger,
    first: int = 0,
    gallery: Gallery | None = None,
    on_row: Callable[[Row], None] = lambda row: None,
) -> list[Shard]:
    """Score items; rows keep their order.

    Args:
        items: what is left to score.
        scorer: holds the session.
        plan: how the run works.
        open_shard: opens a writer for the rows of each shard.
        ledger: holds the scores of earlier images.
        first: number of the first shard.
        gallery: takes the rows with their thumbnails; None if no page is written.
        on_row: called with every row.

    Returns:
        The shards that were written.

    Raises:
        OutputError: the rows cannot be written.
        WorkerError: no process can be started to decode.
    """
    cutting = dataclasses.replace(scorer.cutting, thumbnail=gallery is not None)
    finished = []
    with reading_pool(cutting, plan) as pool:
        decoded = pool.results(items)
        for number, chunk in enumerate(_chunks(decoded, plan.shard), first):
            names, rows, failures = Names(), 0, 0
            with open_shard(number) as writer, _batch(gallery, number) as show:
                for entry in scored(names.of(chunk), scorer, ledger, batch=plan.batch):
                    writer.write(entry.row)
                    show(entry.row, entry.thumbnail)
                    on_row(entry.row)
                    rows += 1
                    failures += entry.row.error is not None
                # Before the shard's file gets its name: see `lifeiqa.bulk.outputs.run_folder`.
                shard = Shard(number, names.count, names.digest, rows, failures)
                ledger.finish(shard)
            finished.append(shard)
    return finished


def reading_pool(cutting: CutImage, plan: Plan) -> ProcessPool[Item, Part]:
    """Processes that turn items into parts."""
    return ProcessPool(
        ReadItem(cutting),
        workers=plan.workers,
        seconds=plan.seconds,
        ahead=64 * plan.workers,
        result_bytes=cutting.result_bytes,
        here=lambda item: item.origin if isinstance(item.origin, Failure) else None,
        weight=lambda item: len(item.origin.data) if isinstance(item.origin, Data) else 0,
    )


def _batch(
    gallery: Gallery | None, number: int
) -> contextlib.AbstractContextManager[Callable[[Row, bytes | None], None]]:
    if gallery is None:
        return contextlib.nullcontext(lambda row, thumbnail: None)
    return gallery.batch(number)


def _chunks(values: Iterator[T], size: int) -> Iterator[Iterator[T]]:
    """Split an iterator into iterators over ``size`` values each. Exhaust each before the next."""
    for value in values:
        yield chain([value], islice(values, size - 1))
