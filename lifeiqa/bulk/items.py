"""Items name what is scored; parts are what a worker process makes of an item.

An item is small and can be pickled: it says where an image is, and a worker process reads it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from lifeiqa.errors import ConfigError
from lifeiqa.preprocess.decode import Pixels
from lifeiqa.preprocess.process_worker import Failure
from lifeiqa.text import printable

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2ts", ".mts", ".wmv"}
    | {".flv", ".3gp", ".ogv"}
)
"""File name endings of videos; ".ts" is not among them, because it is usually TypeScript."""


@dataclass(frozen=True)
class File:
    """An image file. Bytes of the path that are not UTF-8 are surrogates."""

    path: str


@dataclass(frozen=True)
class Member:
    """An image inside an uncompressed tar archive: ``size`` bytes from ``offset`` on."""

    archive: str
    offset: int
    size: int


@dataclass(frozen=True)
class Data:
    """The bytes of an image from a compressed archive, in which offsets are of no use."""

    data: bytes


@dataclass(frozen=True)
class Address:
    """An image at an http or https address."""

    url: str


@dataclass(frozen=True)
class Sampling:
    """Which frames of a video are scored: every Nth, or N per second of presentation time.

    Raises:
        ConfigError: not exactly one of them is given, or it is not positive.
    """

    every: int | None = None
    per_second: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.every, self.per_second) if value is not None]
        if len(given) != 1 or not 0 < given[0] < math.inf:
            raise ConfigError(
                f"frames of a video: every {self.every}, per second {self.per_second}; "
                f"give exactly one of the two, greater than 0"
            )


@dataclass(frozen=True)
class Video:
    """A video file; some of its frames are scored."""

    path: str
    sampling: Sampling


Origin: TypeAlias = File | Member | Data | Address | Video | Failure
"""Where an image is; a failure for an input that is already known to have no score."""


@dataclass(frozen=True)
class Item:
    """One input.

    Attributes:
        name: the path or address as it was given, or ``archive.tar/member``, in its rows. One line
            of printable text.
        origin: where it is.
    """

    name: str
    origin: Origin


@dataclass(frozen=True)
class Frame:
    """A frame's number in display order, from 0, and its time in seconds."""

    number: int
    time: float


@dataclass(frozen=True)
class Part:
    """An image, or a frame of a video, decoded and cut.

    Attributes:
        crops: uint8 ``(N, S, S, 3)``.
        width: of the upright image, in pixels.
        height: of the upright image, in pixels.
        digest: sha256 of the file's bytes, to find duplicates; None for a frame.
        thumbnail: a small WebP; None unless asked for.
        frame: None for an image.
    """

    crops: Pixels
    width: int
    height: int
    digest: bytes | None = None
    thumbnail: bytes | None = None
    frame: Frame | None = None


def is_address(text: str) -> bool:
    """Whether a text is an http or https address, and not a path."""
    return text[:8].lower().startswith(("http://", "https://"))


def shown_address(url: str) -> str:
    """An address for messages: on one line, without a user name and password."""
    return printable(re.sub("^([^/]*//)[^/?#]*@", r"\1", url))
