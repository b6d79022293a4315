"""From parts and their scores to rows, in the order of the inputs.

A duplicate, found by its digest, gets the score of the image before it. After the frames of a video
comes a row for the whole video.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lifeiqa.bulk.items import File, Frame, Item, Part, Video
from lifeiqa.bulk.outputs.ledger import Known, Ledger
from lifeiqa.bulk.pooling import pooled
from lifeiqa.bulk.rows import Row
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.preprocess.process_worker import Failure
from lifeiqa.scorer import Score, Scorer, not_a_number, score_in_batches
from lifeiqa.text import printable

_NO_CROPS: Pixels = np.empty((0, 0, 0, 3), np.uint8)
_BYTES = re.compile(r"^<\d+ bytes>: ")  # name of an image without a path


@dataclass(frozen=True)
class Scored:
    """A row, and the thumbnail of its image if one was requested."""

    row: Row
    thumbnail: bytes | None = None


def scored(
    decoded: Iterable[tuple[Item, Iterable[Part | Failure]]],
    scorer: Scorer,
    ledger: Ledger,
    *,
    batch: int,
) -> Iterator[Scored]:
    """Score items: a row for each image and frame, and one for each video after its frames.

    Args:
        decoded: items with their parts.
        scorer: holds the session.
        ledger: holds the scores of earlier images, and takes new ones.
        batch: crops in one run of the session.
    """
    rows = _Rows(scorer, ledger)
    entries = rows.entries(decoded)
    for entry, score in score_in_batches(entries, scorer.session, batch=batch):
        yield from rows.of(entry, score)


@dataclass
class _VideoSoFar:
    """The frames of a video that have been scored; the thumbnail is that of the worst."""

    crops: int = 0
    width: int = 0
    height: int = 0
    times: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    badness: float = -math.inf
    thumbnail: bytes | None = None
    failed: bool = False


@dataclass
class _Entry:
    """A row in progress.

    Attributes:
        item: the input.
        what: an image or frame without its crops, a failure, or a video after all its frames.
        video: the video that a frame belongs to.
        crops: number of crops of an image or frame.
    """

    item: Item
    what: Part | Failure | _VideoSoFar
    video: _VideoSoFar | None
    crops: int = 0


class _Rows:
    """Turns parts into entries before they are scored, and entries into rows afterwards."""

    def __init__(self, scorer: Scorer, ledger: Ledger) -> None:
        self._manifest = scorer.manifest
        self._ledger = ledger
        self._in_progress: set[bytes] = set()

    def entries(
        self, decoded: Iterable[tuple[Item, Iterable[Part | Failure]]]
    ) -> Iterator[tuple[_Entry, Pixels | None]]:
        """An entry for each row, with the crops to score for it, if any."""
        for item, parts in decoded:
            video = _VideoSoFar() if isinstance(item.origin, Video) else None
            for part in parts:
                if isinstance(part, Failure):
                    yield _Entry(item, part, video), None
                    continue
                # An entry may wait long for those before it: do not keep its crops.
                without = dataclasses.replace(part, crops=_NO_CROPS)
                entry = _Entry(item, without, video, len(part.crops))
                yield entry, None if self._is_duplicate(part) else part.crops
            if video is not None:
                yield _Entry(item, video, video), None

    def of(self, entry: _Entry, score: Score | None) -> Iterator[Scored]:
        """The row of an entry. A video with a failed part has none."""
        if isinstance(entry.what, Part):
            yield self._image(entry, entry.what, score)
        elif isinstance(entry.what, Failure):
            yield self._failure(entry, entry.what)
        elif not entry.what.failed:
            yield self._whole(entry, entry.what)

    def _is_duplicate(self, part: Part) -> bool:
        if part.digest is None:
            return False
        if part.digest in self._in_progress or self._ledger.known(part.digest) is not None:
            return True
        self._in_progress.add(part.digest)
        return False

    def _image(self, entry: _Entry, part: Part, score: Score | None) -> Scored:
        known = self._known(part.digest, score)
        if error := not_a_number(known.score):
            return self._failure(entry, Failure.of(error))
        if entry.video is not None and part.frame is not None:
            self._add_frame(entry.video, part, part.frame, known.score, entry.crops)
        row = self._row(
            entry,
            score=known.score,
            std=known.std,
            width=part.width,
            height=part.height,
            crops=entry.crops,
            frame=part.frame and part.frame.number,
            time=part.frame and part.frame.time,
        )
        return Scored(row, part.thumbnail)

    def _known(self, digest: bytes | None, score: Score | None) -> Known:
        if digest is not None:
            self._in_progress.discard(digest)
            # The first of several duplicates comes before the others.
            if known := self._ledger.known(digest):
                return known
        if score is None:
            raise RuntimeError("a duplicate came before the image that it is a duplicate of")
        known = Known(score.value, score.std)
        if digest is not None:
            self._ledger.remember(digest, known)
        return known

    def _add_frame(
        self, video: _VideoSoFar, part: Part, frame: Frame, score: float, crops: int
    ) -> None:
        badness = score if self._manifest.labels.direction == "lower" else -score
        if badness > video.badness:
            video.badness, video.thumbnail = badness, part.thumbnail
        video.times.append(frame.time)
        video.scores.append(score)
        video.width, video.height = part.width, part.height
        video.crops += crops

    def _failure(self, entry: _Entry, failure: Failure) -> Scored:
        if entry.video is not None:
            entry.video.failed = True
        message = printable(_without_name(failure.message, entry.item))
        return Scored(self._row(entry, error=failure.kind, message=message))

    def _whole(self, entry: _Entry, video: _VideoSoFar) -> Scored:
        whole = pooled(video.times, video.scores, self._manifest.labels)
        row = self._row(
            entry,
            score=whole.mean,
            std=float(np.std(video.scores)),
            width=video.width,
            height=video.height,
            crops=video.crops,
            p5=whole.p5,
            worst_second=whole.worst_second,
            worst_time=whole.worst_time,
        )
        return Scored(row, video.thumbnail)

    def _row(self, entry: _Entry, **values: Any) -> Row:
        return Row(
            path=entry.item.name,
            model=self._manifest.title,
            model_sha256=str(self._manifest.sha256),
            **values,
        )


def _without_name(message: str, item: Item) -> str:
    """The message without the name of the image, which is in the row already."""
    names = [item.name]
    if isinstance(item.origin, File | Video):
        names.append(item.origin.path)
    for name in names:
        message = message.removeprefix(f"{name}: ")
    return _BYTES.sub("", message)
