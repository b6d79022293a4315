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
from lifeiqa.bulk.outputs.run_folder import GALLERY, Folder
from lifeiqa.bulk.outputs.writers import Style, open_writer
from lifeiqa.bulk.shards import Plan, score_items
from lifeiqa.errors import OutputError
from lifeiqa.files import remove_unfinished, require_place
from lifeiqa.scorer import Scorer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done.

    Attributes:
        items: the inputs, every one of them also when an earlier run has done some.
        scorer: holds the session; it stays open.
        plan: how to go about it.
        style: form of the rows.
        html: where to write a page with thumbnails; None for none.
        settings: what the rows depend on beside model and plan, such as the sampling of videos.
        progress: is told of every row.
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
    """Write the rows to a stream as they come.

    Returns:
        A record for each shard, which adds up to the whole run.

    Raises:
        OutputError: the page, or what a run keeps on the disk meanwhile, cannot be written.
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
            saw=job.progress.saw,
        )
        writer.close()
        _write_page(job, gallery)
    return shards


def score_to_folder(job: Job, path: Path) -> list[Shard]:
    """Write the rows to a folder, where the same job goes on after it was killed.

    Returns:
        A record for each shard, those of earlier runs included.

    Raises:
        ConfigError: the folder belongs to another job, or the inputs are others now.
        OutputError: rows or page cannot be written, or another process does so.
        WorkerError: no process can be started to decode.
    """
    _prepare_page(job)
    with (
        Folder(path, _settings(job), job.style) as folder,
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
            saw=job.progress.saw,
        )
        folder.finish(shards)
        _write_page(job, gallery)
    return shards


def _settings(job: Job) -> dict[str, Any]:
    """What has to be the same for rows to belong together."""
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
        page = job.html.resolve()  # behind a link, the file that it leads to
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
            f"{job.html}: the page cannot be written: {error.strerror or error}. Make room, and "
            f"run the same command again"
        ) from error
