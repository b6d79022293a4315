"""Records of a run: one line of JSON each, so that what was measured survives what fails later.

``python -m lifeiqa_benchmarks.gpu.records FOLDER`` writes ``gpu.json`` again from the records in
FOLDER, after `lifeiqa_benchmarks.gpu.part` has added some.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lifeiqa.files import atomic_write

RECORDS, REPORT = "records.jsonl", "gpu.json"
"""Names of the files in the folder of a run."""
_TEXT = 1500


class Records:
    """Appends records to a file that several processes write to.

    Args:
        path: of the file; made where it is missing.
        common: values that every record of this process carries.
    """

    def __init__(self, path: Path, **common: Any) -> None:
        self._path, self._common = path, common

    def add(self, kind: str, **values: Any) -> None:
        """Write one record, whole, at once."""
        record = {"kind": kind, **self._common, **values}
        with self._path.open("ab", buffering=0) as file:
            file.write(json.dumps(record).encode() + b"\n")

    @contextmanager
    def attempt(self, **what: Any) -> Iterator[None]:
        """Turn an error of the block into a record of kind ``error`` with the values ``what``."""
        begun = time.monotonic()
        try:
            yield
        except Exception as error:  # whatever a runtime raises is the result of the attempt
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.add(
                "error",
                **what,
                error=shortened(f"{type(error).__name__}: {error}"),
                at=f"{Path(last.filename).name}:{last.lineno}",
                seconds=round(time.monotonic() - begun, 1),
            )


def read_records(path: Path) -> list[dict[str, Any]]:
    """All records of a file; a line that was cut off by a kill is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def shortened(text: str) -> str:
    """The beginning and the end of a long text; the middle of a compiler's log says little."""
    text = text.strip()
    if len(text) <= _TEXT:
        return text
    return f"{text[: _TEXT // 3]} ... {text[-_TEXT * 2 // 3 :]}"


def last_words(log: Path) -> str:
    """The end of a process' log."""
    with log.open("rb") as file:
        file.seek(max(0, os.path.getsize(log) - _TEXT))  # noqa: PTH202  # the open file's own size
        return file.read().decode(errors="replace").strip()


def write_report(folder: Path) -> Path:
    """Write all records of a folder as one JSON file. A record that repeats another is left out."""
    unique = {json.dumps(record): record for record in read_records(folder / RECORDS)}
    report = folder / REPORT
    with atomic_write(report) as temporary:
        temporary.write_text(json.dumps(list(unique.values()), indent=0) + "\n", encoding="utf-8")
    return report


def read_report(path: Path) -> list[dict[str, Any]]:
    """The records of a whole run, from its ``gpu.json``."""
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    print(write_report(Path(sys.argv[1])))
