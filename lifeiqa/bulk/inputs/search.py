"""Search folders by patterns, in the order of the names' bytes.

The order is that of paths compared name by name: ``a/z.png`` comes before ``a.png``. It is the
same on every system. The names of one folder are sorted in memory: a million take about 80 MB.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_MAGIC = re.compile("[*?[]")
_FILE, _FOLDER, _LINKED_FOLDER = range(3)


class Found(NamedTuple):
    """Something that a search found.

    Attributes:
        path: the searched folder, joined with the path below it.
        is_folder: whether it is a folder, or a link to one.
        error: why this folder could not be read; None for anything that was found.
    """

    path: str
    is_folder: bool
    error: OSError | None = None


@dataclass(frozen=True)
class Pattern:
    """What to look for below a folder: a pattern of names for each level.

    Attributes:
        parts: patterns of `fnmatch`; ``**`` stands for any number of levels, including none.
        hidden: whether names that begin with a dot match patterns that do not.
    """

    parts: tuple[str, ...]
    hidden: bool = False

    @property
    def start(self) -> frozenset[int]:
        """The positions in the pattern that a name in the searched folder may have."""
        return self._with_skipped({0})

    def after(self, places: frozenset[int], name: str, kind: int) -> frozenset[int]:
        """The positions that names below this one may have, if it had one of ``places``.

        The position after the last part means that the name itself completes a match. ``**`` does
        not enter linked folders: a link may lead back to its own folder.
        """
        found = set()
        for place in places - {len(self.parts)}:
            part = self.parts[place]
            if name.startswith(".") and not (self.hidden or part.startswith(".")):
                continue
            if part == "**":
                if kind != _LINKED_FOLDER:
                    found.add(place)
            elif fnmatch.fnmatchcase(name, part):
                found.add(place + 1)
        return self._with_skipped(found)

    def _with_skipped(self, places: set[int]) -> frozenset[int]:
        for place in sorted(places):
            while place < len(self.parts) and self.parts[place] == "**":
                place += 1
                places.add(place)
        return frozenset(places)


def is_pattern(text: str) -> bool:
    """Whether a path that does not exist may be meant as a pattern."""
    return _MAGIC.search(text) is not None


def split_pattern(text: str) -> tuple[str, Pattern]:
    """The folder to search, "" for the current folder, and the pattern below it."""
    parts = Path(text).parts
    fixed = list(itertools.takewhile(lambda part: not is_pattern(part), parts))
    return os.path.join("", *fixed), Pattern(parts[len(fixed) :])  # noqa: PTH118 - Path("") is "."


def search(
    folder: str, pattern: Pattern, wanted: Callable[[str], bool] = lambda name: True
) -> Iterator[Found]:
    """Everything below a folder that matches, depth first, ordered by the bytes of the names.

    Args:
        folder: the folder to search; "" for the current folder.
        pattern: what to look for.
        wanted: whether a matching file counts, by its name.

    Yields:
        Files and folders. A folder that cannot be read comes with its error, in place of its
        contents.
    """
    end = len(pattern.parts)
    # An explicit stack: folders may be nested deeper than Python can recurse.
    levels = [(folder, pattern.start, _entries(folder, wanted))]
    while levels:
        parent, places, entries = levels[-1]
        try:
            name, kind = next(entries)
        except StopIteration:
            levels.pop()
            continue
        except OSError as error:
            levels.pop()
            yield Found(parent, True, error)
            continue
        path = os.path.join(parent, name)  # noqa: PTH118 - a Path costs several times as much
        following = pattern.after(places, name, kind)
        if end in following:
            yield Found(path, kind != _FILE)
        if kind != _FILE and following - {end}:
            levels.append((path, following, _entries(path, wanted)))


def _entries(folder: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int]]:
    """The names in a folder and their kinds, ordered by the bytes of the names."""
    names, folders = [], {}
    with os.scandir(folder or ".") as entries:
        for entry in entries:
            kind = _kind(entry)
            if kind != _FILE:
                folders[os.fsencode(entry.name)] = kind
            elif wanted(entry.name):
                names.append(os.fsencode(entry.name))
    names += folders
    names.sort()
    for name in names:
        yield os.fsdecode(name), folders.get(name, _FILE)


def _kind(entry: os.DirEntry[str]) -> int:
    try:
        if not entry.is_dir():
            return _FILE
    except OSError:  # for instance a link to itself: opening it will tell what is wrong
        return _FILE
    return _LINKED_FOLDER if entry.is_symlink() else _FOLDER
