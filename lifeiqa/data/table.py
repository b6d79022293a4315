"""Any CSV of image paths and human scores."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeiqa.config import Labels
from lifeiqa.errors import DatasetError
from lifeiqa.files import atomic_write

_PATH_NAMES = ("image_name", "image", "path", "file", "filename", "dis_img_path", "dist_name")
_SCORE_NAMES = ("MOS", "mos", "score", "dmos")
# The names of the public collections of labels: a table that has such a column means it.
_REFERENCE_NAMES = ("ref_img_path", "ref_name", "ref_img", "reference")
_DISTORTION_NAMES = ("dis_type", "distortion", "dist_type")
_PART_NAMES = ("split", "set")
_PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
Row = dict[str, Any]
"""One line of a file of labels, by the names of its columns."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Images and their scores, row by row.

    Attributes:
        name: what reports call it.
        paths: image files; every one exists.
        scores: human scores in the units of the file.
        labels: range and direction of the scores, where the data set declares them.
        references: the undistorted image that each row was made from, where there is one.
        distortions: kind of distortion of each row, where it is known.
        parts: ``"train"``, ``"val"`` or ``"test"`` for each row of an official split.
    """

    name: str
    paths: tuple[Path, ...]
    scores: tuple[float, ...]
    labels: Labels | None = None
    references: tuple[str, ...] | None = None
    distortions: tuple[str, ...] | None = None
    parts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def sha256(self) -> str:
        """Of the names of the files and their scores, row by row: the same wherever they lie."""
        rows = [[path.name, score] for path, score in zip(self.paths, self.scores, strict=True)]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def take(self, rows: Sequence[int], name: str | None = None) -> Table:
        """The rows of these indices, in this order, under another name if one is given."""
        columns: dict[str, Any] = {
            field.name: tuple(values[row] for row in rows)
            for field in dataclasses.fields(self)
            if isinstance(values := getattr(self, field.name), tuple)
        }
        return dataclasses.replace(self, name=self.name if name is None else name, **columns)

    def require_spread(self) -> None:
        """Refuse scores that rank nothing, which can be neither learned nor correlated.

        Raises:
            DatasetError: there are fewer than two images, or every score is the same.
        """
        if len(self) < 2:
            raise DatasetError(f"{self.name}: {len(self)} images; at least 2 are needed")
        if min(self.scores) == max(self.scores):
            raise DatasetError(
                f"{self.name}: the score of all {len(self)} images is {self.scores[0]}, so that "
                f"nothing can be learned or correlated. Is it the right column?"
            )


def read_table(
    path: Path,
    images: Path | None = None,
    *,
    path_column: str | None = None,
    score_column: str | None = None,
) -> Table:
    """Read a CSV with a header.

    A column ``ref_img_path``, ``ref_name``, ``ref_img`` or ``reference`` gives the references,
    ``dis_type``, ``distortion`` or ``dist_type`` the distortions, and ``split`` or ``set`` the
    official split (train or training, val or valid or validation, test).

    An image may be listed once. Twice, it could fall on both sides of a split, and which of two
    scores is meant is not ours to say.

    Args:
        path: the CSV file, UTF-8.
        images: folder that the paths are relative to; None means the folder of the CSV.
        path_column: name of the column of paths; None takes the first of the usual names.
        score_column: name of the column of scores, likewise.

    Raises:
        DatasetError: a column or an image is missing, an image is listed twice, a score is no
            number, a part of the split is unknown, a row has no reference, or there is no row.
    """
    images = path.parent if images is None else images
    columns, rows = read_csv(path)
    path_column = _column(path, columns, path_column, _PATH_NAMES, "paths", "--path-column")
    score_column = _column(path, columns, score_column, _SCORE_NAMES, "scores", "--score-column")
    if not rows:
        raise DatasetError(f"{path}: the table has a header and no row")
    paths = tuple(images / (row[path_column] or "") for _, row in rows)
    missing = [image for image in paths if not image.is_file()]
    if missing:
        raise DatasetError(
            f"{path}: {len(missing)} of {len(rows)} images are missing, first {missing[0]}. "
            f"Give the folder that the paths are relative to with --images"
        )
    refuse_repeats(path, paths)
    return Table(
        name=path.stem,
        paths=paths,
        scores=tuple(number(row[score_column], where) for where, row in rows),
        references=_optional(columns, rows, _REFERENCE_NAMES, _text),
        distortions=_optional(columns, rows, _DISTORTION_NAMES, lambda cell, _: cell or ""),
        parts=_optional(columns, rows, _PART_NAMES, part),
    )


def read_csv(path: Path) -> tuple[list[str], list[tuple[str, Row]]]:
    """The columns of a CSV with a header, and each row with where it stands, for messages.

    Raises:
        DatasetError: it cannot be read, or is not UTF-8.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = list(reader.fieldnames or [])
            # A record may span lines and blank lines are none, so that the reader alone can count.
            return columns, [(f"{path}, line {reader.line_num}", row) for row in reader]
    except UnicodeDecodeError as error:
        raise not_utf8(path, error) from error
    except (OSError, csv.Error) as error:
        raise DatasetError(f"{path}: the table cannot be read: {error}") from error


def write_columns(path: Path, columns: Mapping[str, Sequence[object] | None]) -> None:
    """Write a CSV with a header, whole or not at all; columns that are None are left out."""
    given = {name: values for name, values in columns.items() if values is not None}
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(given)
        rows.writerows(zip(*given.values(), strict=True))


def not_utf8(path: Path, error: UnicodeDecodeError) -> DatasetError:
    """The error of a text file in another encoding."""
    byte = error.object[error.start]
    return DatasetError(
        f"{path}: the table cannot be read: byte {error.start} is {byte:#04x}, which is not UTF-8. "
        f"Save the file as UTF-8"
    )


def number(cell: Any, where: str) -> float:
    """A cell as a finite number.

    Raises:
        DatasetError: it is none; the message opens with ``where``.
    """
    try:
        value = float(cell)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DatasetError(f"{where}: the score is {cell!r}, not a number")
    return value


def part(cell: object, where: str) -> str:
    """The part of an official split that a cell names: ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        DatasetError: it names none.
    """
    try:
        return _PARTS[str(cell or "").strip().lower()]
    except KeyError:
        raise DatasetError(
            f"{where}: the part of the split is {cell!r}: one of {', '.join(_PARTS)} is expected"
        ) from None


def refuse_repeats(source: object, images: Sequence[Path]) -> None:
    """Refuse an image that is listed twice.

    Raises:
        DatasetError: one is; the message opens with ``source``.
    """
    rows: dict[Path, int] = {}
    for row, image in enumerate(images, start=1):
        if (first := rows.setdefault(image, row)) != row:
            raise DatasetError(
                f"{source}: {image} is listed twice, in rows {first} and {row}. "
                f"Keep one row for each image"
            )


def _text(cell: str | None, where: str) -> str:
    if not cell:
        raise DatasetError(f"{where}: the row has no reference; fill it in or drop the column")
    return cell


def _optional(
    columns: list[str],
    rows: list[tuple[str, Row]],
    usual: tuple[str, ...],
    convert: Callable[[str | None, str], str],
) -> tuple[str, ...] | None:
    """The values of the first of the usual columns that is there, or None."""
    for name in usual:
        if name in columns:
            return tuple(convert(row[name], where) for where, row in rows)
    return None


def _column(
    path: Path,
    columns: list[str],
    asked: str | None,
    usual: tuple[str, ...],
    what: str,
    option: str,
) -> str:
    for name in (asked,) if asked is not None else usual:
        if name in columns:
            return name
    raise DatasetError(
        f"{path}: no column of {what} named {asked or ' or '.join(usual)}; "
        f"it has {', '.join(columns) or 'no header'}. Name it with {option}"
    )
