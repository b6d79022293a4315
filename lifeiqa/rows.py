"""Rows of scores, one a picture, as a table, CSV or JSON lines."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lifeiqa.commands import printable
from lifeiqa.errors import ImageError
from lifeiqa.scorer import Score, Scorer


@dataclass(frozen=True)
class Row:
    """One picture's score, or why it has none."""

    path: Path
    score: Score | None
    error: str | None


def row_of(scorer: Scorer, path: Path) -> Row:
    """Score a picture; an error of the picture becomes part of the row."""
    try:
        return Row(path, scorer.score(path), None)
    except ImageError as error:
        # The row names the picture already.
        return Row(path, None, str(error).removeprefix(f"{path}: "))


def writer(style: str) -> Callable[[Row], None]:
    """A function that prints rows on standard output: ``table``, ``csv`` or ``jsonl``."""
    return {"table": _table, "csv": _csv, "jsonl": _jsonl}[style]()


def _table() -> Callable[[Row], None]:
    print(f"{'score':>9}  {'std':>8}  path")

    def write(row: Row) -> None:
        if row.score is None:
            print(f"{'error':>9}  {'':8}  {printable(row.path)}: {row.error}", flush=True)
        else:
            print(
                f"{row.score.value:9.4f}  {row.score.std:8.4f}  {printable(row.path)}", flush=True
            )

    return write


def _csv() -> Callable[[Row], None]:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["path", "score", "std", "crops", "error"])

    def write(row: Row) -> None:
        figures: list[object] = ["", "", ""]
        if row.score is not None:
            figures = [row.score.value, row.score.std, len(row.score.crops)]
        table.writerow([printable(row.path), *figures, row.error or ""])
        sys.stdout.flush()

    return write


def _jsonl() -> Callable[[Row], None]:
    def write(row: Row) -> None:
        values: dict[str, object] = {"path": printable(row.path)}
        if row.score is None:
            values["error"] = row.error
        else:
            values.update(score=row.score.value, std=row.score.std, crops=row.score.crops)
        print(json.dumps(values), flush=True)

    return write
