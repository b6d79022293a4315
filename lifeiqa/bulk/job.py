"""From inputs to a stream of rows, a folder of shards, a page: what `lifeiqa score` does."""

from __future__ import annotations

import contextlib
import dataclasses
import glob
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import IO, Any

import lifeiqa
from lifeiqa.bulk.items import Item
from lifeiqa.bulk.outputs.gallery import Gallery
from lifeiqa.bulk.outputs.ledger import Ledger, Shard
from lifeiqa.bulk.outputs.page import Heading, write_page
from lifeiqa.bulk.outputs.progress import Progress
from lifeiqa.bulk.outputs.run_folder import GALLERY, RunFolder
from lifeiqa.bulk.outputs.writers import Style, open_writer
from lifeiqa.bulk.shards import Plan, score_items
from lifeiqa.errors import OutputError
from lifeiqa.files import remove_unfinished, require_place
from lifeiqa.scorer import Scorer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """One call of `lifeiqa score`.

    Attributes:
        items: all inputs, also those that an earlier run has scored.
        scorer: holds the session. It stays open.
        plan: how the run works.
        style: format of the rows.
        html: path of a page with thumbnails; None for no page.
        settings: what else the rows depend on, such as the sampling of videos.
        progress: counts the rows.
    """

    items: Iterator[Item]
    scorer: Scorer
    plan: Plan
    style: Style
    html: Path | None = None
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    progress: Progress = dataclasses.field(
        default_factory=lambda: Progress(shown=False, total=None)
    )


def score_to_stream(job: Job, stream: IO[bytes]) -> list[Shard]:
    """Write rows to a stream as soon as they are complete.

    Returns:
        A record of each shard. Together they cover the whole run.

    Raises:
        OutputError: the page or a temporary file cannot be written.
        WorkerError: no process can be started to decode.
    """
    _prepare_page(job)
    with Ledger() as ledger, _gallery(job, None) as gallery:
        manifest = job.scorer.manifest
        writer = open_writer(job.style, stream, heading="" if manifest.verified else manifest.title)
        shards = score_items(
            job.items,
            job.scorer,
            job.plan,
            open_shard=lambda number: contextlib.nullcontext(writer),
            ledger=ledger,
            gallery=gallery,
            on_row=job.progress.count,
        )
        writer.close()
        _write_page(job, gallery)
    return shards


def score_to_folder(job: Job, path: Path) -> list[Shard]:
    """Write rows to a folder. After a kill, the same job continues there.

    Returns:
        A record of each shard, including those of earlier runs.

    Raises:
        ConfigError: the folder belongs to another job, or the inputs have changed.
        OutputError: rows or page cannot be written, or another process writes to the folder.
        WorkerError: no process can be started to decode.
    """
    _prepare_page(job)
    with (
        RunFolder(path, _settings(job), job.style) as folder,
        _gallery(job, path / GALLERY) as gallery,
    ):
        if gallery is not None:
            rows = gallery.batches()
            held = takewhile(lambda shard: rows.get(shard.number) == shard.rows, folder.shards)
            folder.forget_from(sum(1 for _ in held))
            gallery.drop_from(len(folder.shards))
        job.progress.skip(folder.shards)
        shards = folder.shards + score_items(
            folder.rest(job.items),
            job.scorer,
            job.plan,
            open_shard=folder.shard,
            ledger=folder.ledger,
            first=len(folder.shards),
            gallery=gallery,
            on_row=job.progress.count,
        )
        folder.finish(shards)
        _write_page(job, gallery)
    return shards


def _settings(job: Job) -> dict[str, Any]:
    """Settings that must be equal for rows to belong together."""
    return {
        "lifeiqa": lifeiqa.__version__,
        "model": job.scorer.manifest.title,
        "model_sha256": job.scorer.manifest.sha256,
        "runtime": job.scorer.session.runtime,
        **dataclasses.asdict(job.scorer.preprocessing),
        "max_pixels": job.scorer.max_pixels,
        "batch": job.plan.batch,
        "shard": job.plan.shard,
        "timeout": job.plan.seconds,
        "format": job.style,
        "thumbnails": job.html is not None,
        **job.settings,
    }


def _prepare_page(job: Job) -> None:
    if job.html is not None:
        page = job.html.resolve()  # of a link, its target
        require_place(page)
        remove_unfinished(page.parent, glob.escape(page.name))


def _gallery(job: Job, path: Path | None) -> contextlib.AbstractContextManager[Gallery | None]:
    return contextlib.nullcontext() if job.html is None else Gallery(path)


def _write_page(job: Job, gallery: Gallery | None) -> None:
    if job.html is None or gallery is None:
        return
    manifest = job.scorer.manifest
    heading = Heading(
        title=f"Scores of {job.scorer.manifest.title}",
        model=job.scorer.manifest.title,
        model_sha256=str(manifest.sha256),
        labels=manifest.labels,
        crops=job.scorer.preprocessing.crops,
        crop_size=manifest.config.crop_size,
    )
    try:
        write_page(job.html.resolve(), gallery, heading)
    except OSError as error:
        raise OutputError(
            f"{job.html}: the page cannot be written: {error.strerror or error}. Free disk "
            f"space and run the same command again"
        ) from error
