"""Images in tar archives, WebDataset shards among them, in the order in which they lie there.

Nothing is unpacked: of an archive that is not compressed an image is an offset and a size, of a
compressed one its bytes. The headers are walked here and not by `tarfile`, which remembers every
member, reads extended headers of any size, and takes a damaged header for the archive's end.

- A member counts by its suffix. A link, sparse file or device with an image's suffix is a row
  with its error.
- An archive that is damaged or cut off gives its images up to there, then a row with its error.
- It ends with a block of zeros, as the format has it. Without one it may be half an archive.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import os
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from lifeiqa.bulk.items import Data, Item, Member, Origin
from lifeiqa.files import require_regular
from lifeiqa.preprocess.decode import SUFFIXES
from lifeiqa.preprocess.process_worker import Failure
from lifeiqa.text import printable

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""File name endings of archives."""
MAX_BYTES = 256 << 20
"""The largest image that is taken out of a compressed archive, in bytes."""

_RATIO = 200  # images are compressed already; text shrinks to a tenth
_BLOCK = 512
_MAX_EXTENSION = 1 << 20  # bytes that only say a long name or a large size
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTENSIONS = (*_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_RECORD = re.compile(rb"([0-9]{1,7}) ([^=]+)=")
_COMPRESSIONS: dict[bytes, Callable[[io.BufferedReader], io.BufferedIOBase]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}


class _Header(NamedTuple):
    """A member: its name, its type as `tarfile` has it, and where its data lie."""

    name: str
    type: bytes
    sparse: bool
    offset: int
    size: int


def members(archive: str) -> Iterator[Item]:
    """The images of an archive, then, if something is wrong with it, a failure of its name.

    Args:
        archive: path of the file. What it holds decides whether it is compressed.
    """
    try:
        with contextlib.ExitStack() as files:
            require_regular(archive)
            file = files.enter_context(Path(archive).open("rb"))
            stream = files.enter_context(_uncompressed(file))
            size = os.fstat(file.fileno()).st_size
            end = None if stream is not file else size
            most = _RATIO * size + MAX_BYTES
            for header in _headers(stream):
                _require_within(header.offset + header.size, most, end)
                if header.type != tarfile.DIRTYPE and _is_image(header.name):
                    origin = _origin(archive, header, stream, end)
                    yield Item(printable(f"{archive}/{header.name}"), origin)
            while end is None and stream.read(_MAX_EXTENSION):  # its checksum is at its end
                _require_within(stream.tell(), most, end)
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        cause = (error.strerror if isinstance(error, OSError) else None) or error
        yield Item(printable(archive), Failure("DatasetError", f"damaged archive: {cause}"))


def _require_within(place: int, most: int, end: int | None) -> None:
    """Refuse to unpack a compressed archive of next to nothing for hours."""
    if end is None and place > most:
        raise ValueError(f"it unpacks to more than {most:,} bytes, {_RATIO} times its size")


def _uncompressed(file: io.BufferedReader) -> io.BufferedIOBase:
    beginning = file.peek(8)
    for magic, opened in _COMPRESSIONS.items():
        if beginning.startswith(magic):
            return opened(file)
    return file


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - a Path costs more


def _origin(archive: str, header: _Header, stream: io.BufferedIOBase, end: int | None) -> Origin:
    """Where the image of a header lies; the stream stands at its data.

    Args:
        archive: path of the file.
        header: of a member with the suffix of an image.
        stream: the archive, uncompressed.
        end: size of the archive's file; None for one that is compressed.
    """
    if header.type in (tarfile.LNKTYPE, tarfile.SYMTYPE):
        return Failure("ImageError", "a link; links in archives are not followed")
    if header.type not in tarfile.REGULAR_TYPES or header.sparse:
        return Failure("ImageError", "no regular file in its archive, but a device or a sparse one")
    if end is not None:
        if header.offset + header.size > end:
            raise EOFError(f"it ends inside {printable(header.name)}")
        return Member(archive, header.offset, header.size)
    if header.size > MAX_BYTES:
        return Failure(
            "ImageError",
            f"has {header.size:,} bytes, more than {MAX_BYTES:,}, the most that is taken out of a "
            f"compressed archive. Unpack it, or do not compress the archive",
        )
    return Data(_exactly(stream, header.size, f"inside {printable(header.name)}"))


def _headers(stream: io.BufferedIOBase) -> Iterator[_Header]:
    """Every member; while a header is out, the stream stands at its data.

    Raises:
        EOFError: the archive ends before its closing block.
        ValueError: a header is damaged.
    """
    while (header := _header(stream)) is not None:
        yield header
        stream.seek(header.offset + _padded(header.size))


def _header(stream: io.BufferedIOBase) -> _Header | None:
    """The next member's header, with what extended headers say before it; None at the end."""
    said: dict[str, str] = {}
    while True:
        at = stream.tell()
        block = _exactly(stream, _BLOCK, "before its closing block")
        if not any(block):
            return None
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise ValueError(f"{error} in the header at byte {at:,}") from error
        if info.size < 0 or (info.type in _EXTENSIONS and info.size > _MAX_EXTENSION):
            raise ValueError(f"the header at byte {at:,} states {info.size:,} bytes")
        if info.type not in _EXTENSIONS:
            break
        data = _exactly(stream, _padded(info.size), "inside an extended header")[: info.size]
        if info.type == tarfile.GNUTYPE_LONGNAME:
            said["path"] = data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        elif info.type in _PAX:
            said.update(_records(data))
    more = info.type == tarfile.GNUTYPE_SPARSE and block[482]
    while more:  # the map of its holes goes on
        more = _exactly(stream, _BLOCK, "inside an extended header")[504]
    # Links, folders and devices have no data, whatever size they state.
    has_data = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
    size = int(said.get("size", info.size)) if has_data else 0
    if size < 0:  # the walk would go backwards, for ever
        raise ValueError(f"the header at byte {at:,} states {size:,} bytes")
    return _Header(
        said.get("GNU.sparse.name") or said.get("path") or info.name,
        info.type,
        info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in said),
        stream.tell(),
        size,
    )


def _records(data: bytes) -> dict[str, str]:
    """The records ``LENGTH KEY=VALUE`` of an extended header, POSIX.1-2001."""
    records, at = {}, 0
    while match := _RECORD.match(data, at):
        end = at + int(match[1])
        if data[end - 1 : end] != b"\n" or end <= match.end():
            raise ValueError(f"damaged extended header: {data[at : at + 40]!r}")
        value = data[match.end() : end - 1]
        records[match[2].decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at = end
    return records


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _exactly(stream: io.BufferedIOBase, size: int, where: str) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError(f"it ends {where}")
    return data
