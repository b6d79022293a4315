"""The scores of a run as one self-contained HTML file: histogram, thumbnails, failures.

The file is written while the gallery is read, so memory does not grow with the number of images.
Its content security policy allows one script and no requests. Data of the images are in blocks of
JSON, which the script shows as text.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

import lifeiqa
from lifeiqa.bulk.outputs.gallery import Entry, Gallery
from lifeiqa.bulk.rows import Row
from lifeiqa.config import Labels
from lifeiqa.files import atomic_write

IMAGES = 10_000
"""Most images of a page. Of more, it holds the worst half and the best half of this number."""
FAILURES = 1_000
"""Most videos of a page, and most failures of each class."""

_SOURCES = ("page.html", "page.css", "rows.js", "grid.js", "histogram.js", "page.js")
_BLOCK = 250
_BINS = 40
# The same in every row: they are in the heading.
_OMITTED = {"model", "model_sha256"}


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What the page says about the whole run.

    Attributes:
        title: of the page.
        model: name of the model, as in the rows.
        model_sha256: of the model file.
        labels: what a score means.
        crops: the crop plan.
        crop_size: side of a crop in pixels. An image with a shorter side counts as small.
        written: date and time of the page.
    """

    title: str
    model: str
    model_sha256: str
    labels: Labels
    crops: str
    crop_size: int
    written: datetime = field(default_factory=lambda: datetime.now().astimezone())


def write_page(path: Path, gallery: Gallery, heading: Heading, *, limit: int = IMAGES) -> None:
    """Write the page, whole or not at all.

    Args:
        path: the file; an existing file is replaced.
        gallery: all rows of the run.
        heading: what the page says about the run.
        limit: most images of the page. Of more, it holds the worst and the best half of this
            number. Counts and histogram cover all images.

    Raises:
        OutputError: the gallery cannot be read.
        OSError: the page cannot be written.
    """
    head, tail = _template()
    with (
        atomic_write(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as stream,
    ):
        stream.write(head)
        stream.write(_block('id="about"', _about(gallery, heading)))
        for entries in _blocks(_entries(gallery, heading.labels, limit)):
            stream.write(_block('class="rows"', [_values(row) for row, _ in entries]))
            stream.write(_block('class="thumbnails"', [_base64(data) for _, data in entries]))
        stream.write(tail)


def _template() -> tuple[str, str]:
    """The page before and after its data, with a policy that names its script and style."""
    page, style, *scripts = (
        (Path(__file__).parent / "html" / name).read_text(encoding="utf-8") for name in _SOURCES
    )
    script = "\n".join(scripts)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        f"base-uri 'none'; form-action 'none'"
    )
    for name, text in {"policy": policy, "style": style, "script": script}.items():
        page = page.replace("{{" + name + "}}", text)
    head, _, tail = page.partition("{{data}}\n")
    return head, tail


def _hash(text: str) -> str:
    return f"'sha256-{_base64(hashlib.sha256(text.encode()).digest())}'"


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _block(attribute: str, values: Any) -> str:
    """A block of data in ASCII that no value inside can close."""
    text = json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" {attribute}>{text}</script>\n'


def _about(gallery: Gallery, heading: Heading) -> dict[str, Any]:
    extent = gallery.extent()
    edges = [] if extent is None else edges_between(*extent, heading.labels.span)
    return {
        **dataclasses.asdict(heading),
        "written": heading.written.isoformat(sep=" ", timespec="seconds"),
        "version": lifeiqa.__version__,
        "counts": dataclasses.asdict(gallery.counts()),
        "extent": extent,
        "histogram": {"edges": edges, "counts": gallery.histogram(edges)},
        "failures": [{"kind": k, "count": n} for k, n in gallery.failure_counts().items()],
        "block": _BLOCK,
    }


def edges_between(low: float, high: float, span: float) -> list[float]:
    """Edges of a histogram: about 40 bins, each 1, 2 or 5 times a power of ten wide.

    Args:
        low: the lowest score; it falls into the first bin.
        high: the highest score; it is below the last edge.
        span: width of the label range, which gives bins a least width when all scores are equal.
    """
    raw = max(high - low, span / 100, abs(high) * 1e-9) / _BINS
    power = math.floor(math.log10(raw))
    multiple = next(m for m in (1, 2, 5, 10) if m * 10.0**power >= raw * (1 - 1e-9))

    def edge(number: int) -> float:  # a quotient of integers is the nearest decimal
        return number * multiple / 10**-power if power < 0 else float(number * multiple * 10**power)

    first = math.floor(low / (multiple * 10.0**power))
    last = math.floor(high / (multiple * 10.0**power)) + 1
    # The quotients are rounded, so either may be off by one.
    first -= edge(first) > low
    last += edge(last) <= high
    return [edge(number) for number in range(first, last + 1)]


def _entries(gallery: Gallery, labels: Labels, limit: int) -> Iterator[Entry]:
    lowest = labels.direction == "higher"  # the worst first
    images: Iterator[Entry]
    if gallery.counts().images <= limit:
        images = gallery.images(lowest=lowest, limit=limit)
    else:
        worst = gallery.images(lowest=lowest, limit=limit // 2)
        images = chain(worst, gallery.images(lowest=not lowest, limit=limit // 2))
    videos = gallery.videos(lowest=lowest, limit=FAILURES)
    return chain(images, videos, gallery.failures(limit=FAILURES))


def _blocks(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    while block := list(islice(entries, _BLOCK)):
        yield block


def _values(row: Row) -> dict[str, Any]:
    return {k: v for k, v in vars(row).items() if v is not None and k not in _OMITTED}
