"""The inputs of the command line become items, one after another.

- A file is an image, whatever its suffix. Archives, tables and videos are known by their suffixes.
  A file that does not exist becomes a row with an error.
- A folder stands for its images and videos, found by suffix, ordered by the bytes of their names;
  with ``recursive`` also for those in the folders below. Links to files are followed, links to
  folders are not. Archives and tables in a folder are skipped.
- A pattern that the shell did not expand, such as ``"shards/**/*.tar"``, stands for all that
  matches, as if each were named. It matches folders too, unless it ends in ``**``.
- An address needs ``allow_http``, and must be that of an image.
- ``-`` reads names from standard input, each as if it were named here. Patterns are not expanded.
- A cell of a table names an image, a video or an address.

An error of one image, folder or archive becomes an item of its own, a `Failure`.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from lifeiqa.bulk.inputs import archives, name_lists, search, tables
from lifeiqa.bulk.items import (
    VIDEO_SUFFIXES,
    Address,
    File,
    Item,
    Sampling,
    Video,
    is_address,
    shown_address,
)
from lifeiqa.errors import DatasetError
from lifeiqa.preprocess.decode import SUFFIXES
from lifeiqa.preprocess.process_worker import Failure
from lifeiqa.text import printable

_SUFFIXES = " ".join(sorted(SUFFIXES))
_A_FRAME_A_SECOND = Sampling(per_second=1.0)


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """How inputs are read.

    Attributes:
        recursive: look below folders too.
        nul: names on standard input end with NUL bytes, as ``find -print0`` writes them.
        column: column of a table with the paths; None takes the first of the usual names.
        images: folder that relative paths in tables start from; None is the table's own folder.
        allow_http: fetch images from http and https addresses.
        sampling: which frames of a video are scored.
    """

    recursive: bool = False
    nul: bool = False
    column: str | None = None
    images: Path | None = None
    allow_http: bool = False
    sampling: Sampling = _A_FRAME_A_SECOND


def items(inputs: Sequence[str], options: InputOptions | None = None) -> Iterator[Item]:
    """All items that the inputs name, lazily and always in the same order.

    Memory does not grow with the number of images, except for the names of one folder.

    Args:
        inputs: as on the command line, with surrogates for bytes that are not UTF-8.
        options: how they are read.

    Raises:
        DatasetError: during iteration, if the only input is a folder, pattern or list without an
            image, or a table that cannot be read or lacks the column. Of several inputs, such an
            input becomes a `Failure`.
        MissingDependencyError: during iteration: a Parquet table, and pyarrow is not installed.
    """
    options = options or InputOptions()
    for text in inputs:
        found = _input(text, options)
        yield from found if len(inputs) == 1 else _or_failure(found, printable(text))


def _input(text: str, options: InputOptions) -> Iterator[Item]:
    if text == "-":
        return _or_refuse(_listed(options), "standard input: the list of names is empty")
    if _is_pattern(text):
        return _or_refuse(
            _matching(text, options),
            f"{printable(text)}: no file has this name or matches this pattern",
        )
    return _named(text, options)


def _or_failure(found: Iterator[Item], name: str) -> Iterator[Item]:
    """The items; if they cannot be read, a failure, so that the other inputs are scored."""
    try:
        yield from found
    except DatasetError as error:
        yield Item(name, _failure(name, error))


def _or_refuse(found: Iterator[Item], message: str) -> Iterator[Item]:
    """The items; an error if there are none."""
    empty = True
    for item in found:
        empty = False
        yield item
    if empty:
        raise DatasetError(message)


def _listed(options: InputOptions) -> Iterator[Item]:
    if sys.stdin is None:  # it was closed before Python started
        return
    stream = cast(io.BufferedIOBase, sys.stdin.buffer)
    for text in name_lists.names(stream, nul=options.nul):
        yield from _or_failure(_named(text, options), printable(text))


def _matching(text: str, options: InputOptions) -> Iterator[Item]:
    root, pattern = search.split_pattern(text)
    for found in search.search(root, pattern):
        if found.error is not None:
            yield _unreadable(found.path, found.error)
        elif not found.is_folder:
            yield from _named(found.path, options)
        elif pattern.parts[-1] != "**":
            yield from _in_folder(found.path, options)


def _is_pattern(text: str) -> bool:
    """Whether a text is a pattern, and not a file or address that contains such characters."""
    return search.is_pattern(text) and not is_address(text) and not os.path.lexists(text)


def _named(text: str, options: InputOptions) -> Iterator[Item]:
    name = printable(text)
    if is_address(text):
        yield _address(text, options)
    elif os.path.isdir(text):  # noqa: PTH112 - text may be ""
        message = f"{name}: no image in this folder ({_SUFFIXES})"
        yield from _or_refuse(_in_folder(text, options), message)
    elif text.lower().endswith(archives.ARCHIVE_SUFFIXES):
        message = f"{name}: no image in this archive ({_SUFFIXES})"
        yield from _or_refuse(archives.members(text), message)
    elif text.lower().endswith(tables.TABLE_SUFFIXES):
        message = f"{name}: the table has a header but no rows"
        yield from _or_refuse(_in_table(text, options), message)
    else:
        yield _one(text, options)


def _in_folder(folder: str, options: InputOptions) -> Iterator[Item]:
    pattern = search.Pattern(("**", "*") if options.recursive else ("*",), hidden=True)
    for found in search.search(folder, pattern, _is_taken):
        if found.error is not None:
            yield _unreadable(found.path, found.error)
        elif not found.is_folder:
            yield _one(found.path, options)


def _in_table(table: str, options: InputOptions) -> Iterator[Item]:
    name = printable(table)
    base = os.path.dirname(table) if options.images is None else os.fspath(options.images)  # noqa: PTH120
    read = False
    try:
        for row, cell in tables.paths(table, options.column):
            read = True
            if cell is None:
                yield Item(f"{name}, {row}", Failure("DatasetError", "the row has no path"))
            else:
                yield _one(cell, options, base)
    except DatasetError as error:
        if not read:
            raise
        yield Item(name, _failure(name, error))


def _one(text: str, options: InputOptions, base: str = "") -> Item:
    """An image, a video or an address."""
    if is_address(text):
        return _address(text, options)
    path = os.path.join(base, text)  # noqa: PTH118 - a Path costs several times as much
    if _suffix(text) in VIDEO_SUFFIXES:
        return Item(printable(text), Video(path, options.sampling))
    return Item(printable(text), File(path))


def _address(url: str, options: InputOptions) -> Item:
    name = shown_address(url)
    if options.allow_http:
        return Item(name, Address(url))
    return Item(name, Failure("ConfigError", "addresses are fetched only with --allow-http"))


def _unreadable(folder: str, error: OSError) -> Item:
    reason = error.strerror or str(error)
    return Item(printable(folder), Failure("DatasetError", f"folder cannot be read: {reason}"))


def _failure(name: str, error: DatasetError) -> Failure:
    return Failure("DatasetError", str(error).removeprefix(f"{name}: "))


def _is_taken(name: str) -> bool:
    suffix = _suffix(name)
    return suffix in SUFFIXES or suffix in VIDEO_SUFFIXES


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a Path costs several times as much
