"""Inputs as they are named on the command line, one after another as items.

- A file is an image, whatever its suffix; but for archives, tables and videos, which are known by
  theirs. One that is not there becomes a row with its error.
- A folder gives its images and videos by suffix, in the order of their names' bytes; with
  ``recursive`` those of the folders below as well. Linked files are taken, linked folders are not
  gone into. Archives and tables count only where they are named.
- A pattern that the shell left alone, such as ``"shards/**/*.tar"``, gives what matches, each as
  if it had been named. Folders count too, unless ``**`` ends the pattern.
- An address counts only with ``allow_http``. Behind it there must be an image.
- ``-`` reads names from standard input, each as if it had been given here; patterns excepted.
- A cell of a table names an image, a video or an http.

What is wrong with one image, folder or archive becomes an item of its own, a `Failure`.
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
        nul: names on standard input are separated by NUL bytes, as ``find -print0`` does.
        column: the column of a table that holds paths; None takes the first of the usual names.
        images: folder that relative paths in tables start from; None means the table's own.
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
    """Everything that the inputs name, lazily and always in the same order.

    Memory does not grow with the number of images, but for the names of one folder at a time.

    Args:
        inputs: as they stand on the command line; bytes that are no UTF-8 as surrogates.
        options: how they are read.

    Raises:
        DatasetError: while it runs: the one input is a folder, pattern or list without any image,
            or a table that cannot be read or lacks the column. Of several inputs such a one
            becomes a `Failure`.
        MissingDependencyError: while it runs: a Parquet table without pyarrow.
    """
    options = options or InputOptions()
    for text in inputs:
        found = _input(text, options)
        yield from found if len(inputs) == 1 else _or_failure(found, printable(text))


def _input(text: str, options: InputOptions) -> Iterator[Item]:
    if text == "-":
        return _or_refuse(_listed(options), "standard input: the list holds no name")
    if _is_pattern(text):
        return _or_refuse(
            _matching(text, options), f"{printable(text)}: no file has this name or matches it"
        )
    return _named(text, options)


def _or_failure(found: Iterator[Item], name: str) -> Iterator[Item]:
    """What was found; where it cannot be read, a failure: the other inputs are to be scored."""
    try:
        yield from found
    except DatasetError as error:
        yield Item(name, _failure(name, error))


def _or_refuse(found: Iterator[Item], message: str) -> Iterator[Item]:
    """What was found; nothing is an error."""
    empty = True
    for item in found:
        empty = False
        yield item
    if empty:
        raise DatasetError(message)


def _listed(options: InputOptions) -> Iterator[Item]:
    if sys.stdin is None:  # it was closed before Python began
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
    """A file may have a name that looks like a pattern, and an address may hold a "?"."""
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
        message = f"{name}: the table has a header and no row"
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
    """An image, a video or an http."""
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
