"""An output folder: shards that are complete or absent, and what a resumed run needs.

::

    _run.json         settings that every row depends on; other settings are refused
    _ledger.sqlite    which shards are finished, and the scores of their images
    _gallery.sqlite   rows and thumbnails for the page, if one was requested
    part-00000.csv    rows of the first shard of inputs
    _finished.json    the totals, once all shards are written

Readers of data sets in folders skip names that begin with "_" or ".".

A shard's file gets its name last, after the ledger and the gallery have its rows. A shard that they
have and the folder lacks is made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from itertools import islice, takewhile
from pathlib import Path
from typing import IO, Any, TypeVar

from lifeiqa.bulk.items import Address, Data, File, Item, Member, Origin, Video
from lifeiqa.bulk.outputs.ledger import Ledger, Shard
from lifeiqa.bulk.outputs.writers import Style, Writer, open_writer
from lifeiqa.errors import ConfigError, OutputError
from lifeiqa.files import atomic_write, remove_unfinished
from lifeiqa.runtimes.base import Closeable

T = TypeVar("T")

GALLERY = "_gallery.sqlite"
_SETTINGS, _LEDGER, _FINISHED = "_run.json", "_ledger.sqlite", "_finished.json"


class RunFolder(Closeable):
    """The folder of one run, new or resumed.

    Args:
        path: the folder; created if it does not exist.
        settings: what every row depends on.
        style: format of the shards.

    Raises:
        ConfigError: it contains something else, or a run with other settings.
        OutputError: another process writes to it, or it cannot be written.
    """

    def __init__(self, path: Path, settings: dict[str, Any], style: Style) -> None:
        self._path, self._style = path, style
        path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path)
        try:
            for name in (_SETTINGS, "part-*", _FINISHED):
                remove_unfinished(path, name)
            _require_same(path, settings)
            self.ledger = Ledger(path / _LEDGER)
        except BaseException:
            self._lock.close()
            raise
        whole = takewhile(lambda shard: self._part(shard.number).exists(), self.ledger.shards())
        self.shards = list(whole)
        self.forget_from(len(self.shards))

    def forget_from(self, number: int) -> None:
        """Forget this shard and all later ones, and remove their files."""
        del self.shards[number:]
        self.ledger.forget_from(number)
        for part in self._path.glob(f"part-*.{self._style}"):
            found = part.stem.removeprefix("part-")
            if found.isdecimal() and int(found) >= number:
                part.unlink()

    def rest(self, items: Iterator[Item]) -> Iterator[Item]:
        """The items after those of the finished shards, which must be the same as before.

        Raises:
            ConfigError: they have changed.
        """
        for shard in self.shards:
            names = Names()
            for item in islice(items, shard.items):
                names.add(item)
            if (names.count, names.digest) != (shard.items, shard.names):
                raise ConfigError(
                    f"{self._path}: the inputs of {self._part(shard.number).name} differ from "
                    f"those of the run that made it: images were added, removed, reordered or "
                    f"moved. Use another output folder"
                )
        yield from items

    @contextlib.contextmanager
    def shard(self, number: int) -> Iterator[Writer]:
        """A writer for a shard's rows. The file appears if the block ends without an error."""
        path = self._part(number)
        try:
            (self._path / _FINISHED).unlink(missing_ok=True)
            with atomic_write(path) as temporary, temporary.open("wb") as stream:
                writer = open_writer(self._style, stream)
                yield writer
                writer.close()
        except OSError as error:
            raise OutputError(
                f"{path}: {error.strerror or error}. Free disk space and run the same command "
                f"again; it continues here"
            ) from error

    def finish(self, shards: list[Shard]) -> None:
        """Write the totals."""
        totals = {
            "shards": len(shards),
            "inputs": sum(shard.items for shard in shards),
            "rows": sum(shard.rows for shard in shards),
            "failures": sum(shard.failures for shard in shards),
        }
        with atomic_write(self._path / _FINISHED) as temporary:
            temporary.write_text(json.dumps(totals) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Close the ledger and release the lock."""
        self.ledger.close()
        self._lock.close()

    def _part(self, number: int) -> Path:
        return self._path / f"part-{number:05}.{self._style}"


class Names:
    """Number of inputs, and a digest of their names and places, to recognise them again."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = hashlib.sha256()

    def add(self, item: Item) -> None:
        self.count += 1
        for text in (item.name, _place(item.origin)):
            self._sum.update(os.fsencode(text) + b"\0")

    def of(self, decoded: Iterator[tuple[Item, T]]) -> Iterator[tuple[Item, T]]:
        """Pass items through, with their parts, and count them."""
        for item, parts in decoded:
            self.add(item)
            yield item, parts

    @property
    def digest(self) -> bytes:
        return self._sum.digest()


def _place(origin: Origin) -> str:
    """Where an image is, independent of the folder that relative paths start from."""
    if isinstance(origin, File | Video):
        return os.path.abspath(origin.path)  # noqa: PTH100 - a Path costs several times as much
    if isinstance(origin, Member):
        return f"{os.path.abspath(origin.archive)} {origin.offset} {origin.size}"  # noqa: PTH100
    if isinstance(origin, Data):
        return hashlib.sha256(origin.data).hexdigest()
    return origin.url if isinstance(origin, Address) else ""


def _locked(path: Path) -> IO[str]:
    import fcntl

    lock = (path / ".lock").open("w")
    try:
        fcntl.flock(
            lock, fcntl.LOCK_EX | fcntl.LOCK_NB
        )  # the kernel releases it if this process is killed
    except BlockingIOError:
        lock.close()
        raise OutputError(
            f"{path}: another process writes to this folder; wait for it, or use another folder"
        ) from None
    return lock


def _require_same(path: Path, settings: dict[str, Any]) -> None:
    file = path / _SETTINGS
    settings = json.loads(json.dumps(settings))  # as they will be read: lists, not tuples
    if not file.exists():
        if set(path.iterdir()) - {path / ".lock"}:
            raise ConfigError(
                f"{path}: the folder contains other files; name a new or an empty folder"
            )
        with atomic_write(file) as temporary:
            temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        return
    try:
        former = dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, OSError) as error:
        raise ConfigError(f"{file}: cannot be read ({error}); use another output folder") from error
    changed = [
        f"{name} was {former.get(name)!r} and is {settings.get(name)!r}"
        for name in sorted({*former, *settings})
        if former.get(name) != settings.get(name)
    ]
    if changed:
        raise ConfigError(
            f"{path}: this run differs from the one that started here: {'; '.join(changed)}. "
            f"Use the same settings, or another output folder"
        )
