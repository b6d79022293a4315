"""Options that say where the images of `lifeiqa score` are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lifeiqa.cli.shared import Folder
from lifeiqa.errors import ConfigError

_OPTIONS = (
    click.argument(
        "inputs", nargs=-1, required=True, type=click.Path(path_type=str, readable=False)
    ),
    click.option("-r", "--recursive", is_flag=True, help="Also score the images in subfolders."),
    click.option("-0", "--null", is_flag=True, help="Names on standard input end with NUL bytes."),
    click.option("--column", metavar="NAME", help="Column of a table that holds the paths."),
    click.option(
        "--images",
        type=Folder,
        help="Folder that paths of a table are relative to.  [default: its own]",
    ),
    click.option("--allow-http", is_flag=True, help="Fetch http and https addresses."),
    click.option("--every", type=int, metavar="N", help="Score every Nth frame of a video."),
    click.option(
        "--per-second",
        type=float,
        metavar="N",
        help="Score N frames per second of a video.  [default: 1]",
    ),
)


def inputs(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the argument and options above as one value, ``source``."""

    @functools.wraps(command)
    def wrapped(
        inputs: tuple[str, ...],
        recursive: bool,
        null: bool,
        column: str | None,
        images: Path | None,
        allow_http: bool,
        every: int | None,
        per_second: float | None,
        **others: Any,
    ) -> Any:
        from lifeiqa.bulk.inputs.expand import InputOptions
        from lifeiqa.bulk.items import Sampling

        if every is not None and per_second is not None:
            raise ConfigError("--every and --per-second are mutually exclusive: name one")
        if every is None and per_second is None:
            per_second = 1.0
        options = InputOptions(
            recursive=recursive,
            nul=null,
            column=column,
            images=images,
            allow_http=allow_http,
            sampling=Sampling(every, per_second),
        )
        return command(source=(inputs, options), **others)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped
