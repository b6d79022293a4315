"""Any CSV of picture paths and human scores."""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeiqa.config import Labels
from lifeiqa.errors import DatasetError

_PATH_NAMES = ("image_name", "image", "path", "file", "filename", "dis_img_path", "dist_name")
_SCORE_NAMES = ("MOS", "mos", "score", "dmos")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Pictures and their scores, row by row.

    Attributes:
        name: what reports call it.
        paths: picture files; every one exists.
        scores: human scores in the units of the file.
        labels: range and direction of the scores, where the data set declares them.
        references: the undistorted picture that each row was made from, where there is one.
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

    def take(self, rows: Sequence[int], name: str | None = None) -> Table:
        """The rows of these indices, in this order, under another name if one is given."""
        columns: dict[str, Any] = {
            field.name: tuple(values[row] for row in rows)
            for field in dataclasses.fields(self)
            if isinstance(values := getattr(self, field.name), tuple)
        }
        return dataclasses.replace(self, name=self.name if name is None else name, **columns)


def read_table(
    path: Path,
    images: Path | None = None,
    *,
    path_column: str | None = None,
    score_column: str | None = None,
) -> Table:
    """Read a CSV with a header.

    Args:
        path: the CSV file, UTF-8.
        images: folder that the paths are relative to; None means the folder of the CSV.
        path_column: name of the column of paths; None takes the first of the usual names.
        score_column: name of the column of scores, likewise.

    Raises:
        DatasetError: a column or a picture is missing, a score is no number, or there is no row.
    """
    images = path.parent if images is None else images
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            columns = list(reader.fieldnames or [])
            # A record may span lines and blank lines are none, so that the reader alone can count.
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: the table cannot be read: {error}") from error
    path_column = _column(path, columns, path_column, _PATH_NAMES, "paths", "--path-column")
    score_column = _column(path, columns, score_column, _SCORE_NAMES, "scores", "--score-column")
    if not rows:
        raise DatasetError(f"{path}: the table has a header and no row")
    paths, scores, missing = [], [], []
    for line, row in rows:
        picture = images / (row[path_column] or "")
        if not picture.is_file():
            missing.append(picture)
        paths.append(picture)
        scores.append(_number(row[score_column], f"{path}, line {line}"))
    if missing:
        raise DatasetError(
            f"{path}: {len(missing)} of {len(rows)} pictures are missing, first {missing[0]}. "
            f"Give the folder that the paths are relative to with --images"
        )
    return Table(name=path.stem, paths=tuple(paths), scores=tuple(scores))


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


def _number(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DatasetError(f"{where}: the score is {text!r}, not a number")
    return value
