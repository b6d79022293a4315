"""What a copy of a data set is made of: files found whatever their case, and rows read from them.

Archives were packed and unpacked on systems that do not tell ``I01.BMP`` from ``i01.bmp``, so that
no name is compared by its case. Whatever cannot be found or read is a `DatasetError` that says
which file it is and what was expected of it.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeiqa.data import table
from lifeiqa.data.table import Row, not_utf8
from lifeiqa.errors import DatasetError, require

Rows = list[tuple[str, Row]]
"""Rows of a file of labels, each after where it stands, for messages."""


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What the label files of a data set say, before any image is looked for.

    Attributes:
        source: the label files, for messages.
        images: folder that the names are relative to.
        names: image files, by the label files' own spelling.
        scores: human scores.
        references: see `Table`; likewise the next two.
        distortions: kinds of distortion.
        parts: parts of the official split.
    """

    source: str
    images: Path
    names: Sequence[str]
    scores: Sequence[float]
    references: Sequence[str] | None = None
    distortions: Sequence[str] | None = None
    parts: Sequence[str] | None = None


class Index:
    """The files of a folder by their names, whatever their case; each folder is read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._entries: dict[Path, dict[str, str]] = {}

    def get(self, name: str) -> Path | None:
        """The file or folder of a relative name, its parts divided by ``/``; None without one."""
        found = self.folder
        for step in name.split("/"):
            if found not in self._entries:
                # Of two names that differ in their case alone, the one of the right case wins.
                held = sorted(path.name for path in found.iterdir()) if found.is_dir() else []
                self._entries[found] = {entry.lower(): entry for entry in held}
                self._entries[found] |= {entry: entry for entry in held}
            entries = self._entries[found]
            entry = entries.get(step) or entries.get(step.lower())
            if entry is None:
                return None
            found /= entry
        return found


def find(folder: Path, *names: str) -> Path:
    """The first of several files or folders that is there.

    Raises:
        DatasetError: none is.
    """
    index = Index(folder)
    for name in names:
        if (found := index.get(name)) is not None:
            return found
    there = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(there[:8]) + (", ..." if len(there) > 8 else "")
    raise DatasetError(
        f"{folder}: no {' and no '.join(names)} in this folder; it holds {shown or 'nothing'}. "
        f"See the layout with: lifeiqa datasets list"
    )


def find_images(folder: Path, names: Iterable[str]) -> tuple[Path, ...]:
    """The files of these names.

    Raises:
        DatasetError: some are missing; counts them and names the first.
    """
    index = Index(folder)
    found = [(name, index.get(name)) for name in names]
    missing = [name for name, path in found if path is None or not path.is_file()]
    if missing:
        raise DatasetError(
            f"{folder}: {len(missing):,} of {len(found):,} images are missing, "
            f"first {missing[0]}. Copy the data set again"
        )
    return tuple(path for _, path in found if path is not None)


def column(rows: Rows, name: str) -> list[str]:
    """A column of names."""
    return [_name(row[name], where, name) for where, row in rows]


def scores(rows: Rows, name: str) -> list[float]:
    """A column of scores.

    Raises:
        DatasetError: one is no finite number.
    """
    return [table.number(row[name], where) for where, row in rows]


def read_csv(path: Path, *columns: str) -> Rows:
    """These columns of a CSV with a header; their names' case and the other columns do not count.

    Raises:
        DatasetError: it cannot be read, or a column is missing.
    """
    header, rows = table.read_csv(path)
    places = _places(header, columns)
    if places is None:
        raise DatasetError(
            f"{path}: the columns {', '.join(columns)} are expected; "
            f"it has {', '.join(filter(None, header)) or 'no header'}"
        )
    return [
        (where, {name: row[header[place]] for name, place in zip(columns, places, strict=True)})
        for where, row in rows
    ]


def read_words(path: Path, *columns: str) -> Rows:
    """A text file of lines with as many words as there are columns, and no header.

    Raises:
        DatasetError: it cannot be read, or a line has more words or fewer.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    except OSError as error:
        raise DatasetError(f"{path}: the labels cannot be read: {error.strerror}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        words = line.split()
        where = f"{path}, line {number}"
        if words and len(words) != len(columns):
            raise DatasetError(f"{where}: {line.strip()!r}: a {' and a '.join(columns)} expected")
        if words:
            rows.append((where, dict(zip(columns, words, strict=True))))
    return rows


def read_xlsx(path: Path, *columns: str, sheet: str | None = None) -> Rows:
    """These columns of a sheet, the first one unless it is named, without its empty rows.

    The header is the first row that has every column, wherever on the sheet it stands.

    Raises:
        DatasetError: it is no workbook, or has no such sheet or header.
    """
    grid = _grid(path, sheet)
    for number, header in enumerate(grid, start=1):
        places = _places(header, columns)
        if places is None:
            continue
        rows = []
        for line, cells in enumerate(grid[number:], start=number + 1):
            values = [cells[place] if place < len(cells) else None for place in places]
            if any(value is not None for value in values):
                rows.append((f"{path}, row {line}", dict(zip(columns, values, strict=True))))
        return rows
    raise DatasetError(f"{path}: no row with the columns {', '.join(columns)} as a header")


def read_mat(path: Path, *variables: str) -> dict[str, list[Any]]:
    """Vectors of a MATLAB file, of numbers or of strings.

    Raises:
        DatasetError: it cannot be read, or has no such vectors of one length.
    """
    loadmat = require("scipy.io", extra="evaluation", purpose=f"reading {path.name}").loadmat
    try:
        found = loadmat(path)
    except Exception as error:  # a damaged file fails in zlib, in struct or in SciPy itself
        raise DatasetError(
            f"{path}: not a MATLAB file that can be read ({error}). Copy it again"
        ) from error
    missing = [name for name in variables if name not in found]
    if missing:
        held = sorted(name for name in found if not name.startswith("__"))
        raise DatasetError(
            f"{path}: a variable {missing[0]} is expected; it has {', '.join(held) or 'none'}"
        )
    return {name: [_plain(item) for item in found[name].ravel()] for name in variables}


def require_length(path: Path, values: Sequence[object], expected: int) -> None:
    """Refuse a file of labels with more rows than are expected, or fewer.

    Raises:
        DatasetError: the two differ.
    """
    if len(values) != expected:
        raise DatasetError(f"{path}: {len(values):,} rows, {expected:,} are expected")


def _grid(path: Path, sheet: str | None) -> list[tuple[Any, ...]]:
    """The cells of a sheet, row by row."""
    openpyxl = require("openpyxl", extra="evaluation", purpose=f"reading {path.name}")
    try:
        with warnings.catch_warnings():  # of styles and extensions, which hold no label
            warnings.simplefilter("ignore")
            with contextlib.closing(
                openpyxl.load_workbook(path, read_only=True, data_only=True)
            ) as book:
                if sheet is not None and sheet not in book.sheetnames:
                    raise DatasetError(
                        f"{path}: a sheet {sheet} is expected; it has {', '.join(book.sheetnames)}"
                    )
                cells = book[sheet or book.sheetnames[0]]
                cells.reset_dimensions()  # the size in the file may be wrong; the rows are not
                return list(cells.iter_rows(values_only=True))
    except DatasetError:
        raise
    except Exception as error:  # a file that is no workbook fails in zip, XML or openpyxl itself
        raise DatasetError(
            f"{path}: not an .xlsx workbook that can be read ({error}). Copy it again"
        ) from error


def _places(header: Sequence[Any], columns: Sequence[str]) -> list[int] | None:
    """Where the columns are in a header, or None when one is missing."""
    names = [str(cell).strip().lower() for cell in header]
    try:
        return [names.index(name.lower()) for name in columns]
    except ValueError:
        return None


def _plain(item: Any) -> Any:
    """A number or a string out of the arrays that a cell of MATLAB is wrapped in."""
    while hasattr(item, "size") and item.size == 1 and hasattr(item, "item"):
        item = item.item()
    return item.strip() if isinstance(item, str) else item


def _name(cell: object, where: str, name: str) -> str:
    if not isinstance(cell, str | int) or not str(cell).strip():
        raise DatasetError(f"{where}: the {name} is {cell!r}, not a name")
    return str(cell).strip()
