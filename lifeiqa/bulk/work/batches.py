"""From decoded images to rows: crops are scored in batches across images, rows keep the order.

Which crops share a batch follows from the order of the inputs alone, never from which process was
faster. So a run that is repeated, or killed and resumed, gives the same bits.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lifeiqa.bulk.inputs.video import pooled
from lifeiqa.bulk.items import Failure, Frame, Item, Part, Video
from lifeiqa.bulk.outputs.ledger import Known, Ledger
from lifeiqa.bulk.rows import Row
from lifeiqa.errors import ArtifactError, LifeIQAError
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.scorer import Score, Scorer, require_number
from lifeiqa.text import printable

_NO_CROPS: Pixels = np.empty((0, 0, 0, 3), np.uint8)


@dataclass(frozen=True)
class Scored:
    """A row, and the image's thumbnail where one was asked for."""

    row: Row
    thumbnail: bytes | None = None


def scored(
    decoded: Iterable[tuple[Item, Iterable[Part | Failure]]],
    scorer: Scorer,
    ledger: Ledger,
    *,
    batch: int,
) -> Iterator[Scored]:
    """Score items, a row for each image and frame and one for each video after its frames.

    Args:
        decoded: items with their parts.
        scorer: holds the session.
        ledger: knows the images that were scored before; takes those that are scored now.
        batch: crops in one run of the session.
    """
    line = BatchQueue(scorer, ledger, batch)
    try:
        for item, parts in decoded:
            video = _Video() if isinstance(item.origin, Video) else None
            for part in parts:
                line.add(_Entry(item.name, part, video))
                yield from line.done()
            if video is not None:
                line.add(_Entry(item.name, video, video))
                yield from line.done()
    except LifeIQAError:  # the rows before it are not lost
        line.flush()
        yield from line.done()
        raise
    line.flush()
    yield from line.done()


@dataclass
class _Video:
    """The frames of a video that have their scores; the thumbnail is that of the worst."""

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
    """A row in the making.

    Attributes:
        name: of the input.
        what: an image or frame without its crops, a failure, or a video whose frames are all in
            line before it.
        video: that a frame belongs to.
        crops: of an image or frame, their number.
        missing: crops that are still to be run.
        scores: of the crops that were run.
    """

    name: str
    what: Part | Failure | _Video
    video: _Video | None
    crops: int = 0
    missing: int = 0
    scores: list[float] = field(default_factory=list)


class BatchQueue:
    """Entries wait in order: crops go to the session in batches, rows come out at the front."""

    def __init__(self, scorer: Scorer, ledger: Ledger, batch: int) -> None:
        self._scorer = scorer
        self._ledger = ledger
        self._batch = batch
        self._entries: deque[_Entry] = deque()
        self._crops: deque[tuple[_Entry, Pixels]] = deque()
        self._coming: set[bytes] = set()

    def add(self, entry: _Entry) -> None:
        """Put an entry in line, and run what fills a batch."""
        self._entries.append(entry)
        part = entry.what
        if not isinstance(part, Part):
            return
        entry.crops = len(part.crops)
        # An entry may wait long for those before it, and its crops not with it.
        entry.what = dataclasses.replace(part, crops=_NO_CROPS)
        if self._again(part):
            return
        if part.digest is not None:
            self._coming.add(part.digest)
        entry.missing = entry.crops
        self._crops += [(entry, crop) for crop in part.crops]
        while len(self._crops) >= self._batch:
            self._run(self._batch)

    def flush(self) -> None:
        """Run the crops that fill no batch."""
        if self._crops:
            self._run(len(self._crops))

    def done(self) -> Iterator[Scored]:
        """The rows at the front that wait for no crop."""
        while self._entries and not self._entries[0].missing:
            entry = self._entries.popleft()
            if isinstance(entry.what, Part):
                yield self._image(entry, entry.what)
            elif isinstance(entry.what, Failure):
                yield self._failure(entry, entry.what)
            elif not entry.what.failed:
                yield self._whole(entry, entry.what)

    def _again(self, part: Part) -> bool:
        if part.digest is None:
            return False
        return part.digest in self._coming or self._ledger.known(part.digest) is not None

    def _run(self, count: int) -> None:
        entries, crops = zip(*(self._crops.popleft() for _ in range(count)), strict=True)
        for entry, score in zip(entries, self._scorer.session.run(np.stack(crops)), strict=True):
            entry.scores.append(score)
            entry.missing -= 1

    def _image(self, entry: _Entry, part: Part) -> Scored:
        known = self._known(entry, part.digest)
        try:
            require_number(known.score)
        except ArtifactError as error:
            return self._failure(entry, Failure(type(error).__name__, str(error)))
        if entry.video is not None and part.frame is not None:
            self._take(entry, entry.video, part, part.frame, known.score)
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

    def _known(self, entry: _Entry, digest: bytes | None) -> Known:
        if digest is not None:
            self._coming.discard(digest)
            # Of an image that came again, the twin stood before it in line.
            if known := self._ledger.known(digest):
                return known
        score = Score.of(np.array(entry.scores, np.float32))
        known = Known(score.value, score.std)
        if digest is not None:
            self._ledger.remember(digest, known)
        return known

    def _take(self, entry: _Entry, video: _Video, part: Part, frame: Frame, score: float) -> None:
        badness = score if self._scorer.manifest.labels.direction == "lower" else -score
        if badness > video.badness:
            video.badness, video.thumbnail = badness, part.thumbnail
        video.times.append(frame.time)
        video.scores.append(score)
        video.width, video.height = part.width, part.height
        video.crops += entry.crops

    def _failure(self, entry: _Entry, failure: Failure) -> Scored:
        if entry.video is not None:
            entry.video.failed = True
        message = printable(failure.message)  # a library may say anything of a file
        return Scored(self._row(entry, error=failure.kind, message=message))

    def _whole(self, entry: _Entry, video: _Video) -> Scored:
        mean, low5, worst_second, worst_time = pooled(
            video.times, video.scores, self._scorer.manifest.labels
        )
        row = self._row(
            entry,
            score=mean,
            std=float(np.std(video.scores)),
            width=video.width,
            height=video.height,
            crops=video.crops,
            low5=low5,
            worst_second=worst_second,
            worst_time=worst_time,
        )
        return Scored(row, video.thumbnail)

    def _row(self, entry: _Entry, **values: Any) -> Row:
        manifest = self._scorer.manifest
        return Row(
            path=entry.name, model=manifest.title, model_sha256=str(manifest.sha256), **values
        )
