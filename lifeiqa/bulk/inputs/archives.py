"""Images in tar archives, including WebDataset shards, in the order of the archive.

Nothing is unpacked to disk. In an uncompressed archive an image is an offset and a size, in a
compressed one its bytes. The headers are read here and not by `tarfile`, which keeps every member
in memory, reads extended headers of any size, and takes a damaged header for the end.

- A member is an image if its suffix is that of one. A link, sparse file or device with such a
  suffix is a row with an error.
- A damaged or truncated archive gives its images up to the damage, then a row with an error.
- A block of zeros ends an archive, as the format requires. Without one it may be incomplete.
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
"""The largest image that is read from a compressed archive, in bytes."""

_RATIO = 200  # images are compressed already, and text shrinks to a tenth
_BLOCK = 512
_MAX_EXTENSION = 1 << 20  # bytes that only state a long name or a large size
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTENSIONS = (*_PAX, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_RECORD = re.compile(rb"([0-9]{1,7}) ([^=]+)=")
_COMPRESSIONS: dict[bytes, Callable[[io.BufferedReader], io.BufferedIOBase]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}


class _Header(NamedTuple):
    """A member: its name, its type as in `tarfile`, and where its data are."""

    name: str
    type: bytes
    sparse: bool
    offset: int
    size: int


def members(archive: str) -> Iterator[Item]:
    """The images of an archive; if it is damaged, then a failure with its name.

    Args:
        archive: path of the file. Its content decides whether it is compressed.
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
            while end is None and stream.read(_MAX_EXTENSION):  # a checksum is at the end
                _require_within(stream.tell(), most, end)
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, lzma.LZMAError) as error:
        cause = (error.strerror if isinstance(error, OSError) else None) or error
        yield Item(printable(archive), Failure("DatasetError", f"damaged archive: {cause}"))


def _require_within(place: int, most: int, end: int | None) -> None:
    """Refuse a small archive that would take hours to decompress."""
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
    """Where the image of a header is. The stream is at its data.

    Args:
        archive: path of the file.
        header: of a member with the suffix of an image.
        stream: the decompressed archive.
        end: size of an uncompressed archive; None for a compressed one.
    """
    if header.type in (tarfile.LNKTYPE, tarfile.SYMTYPE):
        return Failure("ImageError", "a link; links in archives are not followed")
    if header.type not in tarfile.REGULAR_TYPES or header.sparse:
        return Failure(
            "ImageError", "a device or a sparse file; only regular files of an archive are read"
        )
    if end is not None:
        if header.offset + header.size > end:
            raise EOFError(f"it ends inside {printable(header.name)}")
        return Member(archive, header.offset, header.size)
    if header.size > MAX_BYTES:
        return Failure(
            "ImageError",
            f"has {header.size:,} bytes; at most {MAX_BYTES:,} are read from a compressed archive. "
            f"Unpack the archive, or do not compress it",
        )
    return Data(_exactly(stream, header.size, f"inside {printable(header.name)}"))


def _headers(stream: io.BufferedIOBase) -> Iterator[_Header]:
    """Every member. When a header is yielded, the stream is at its data.

    Raises:
        EOFError: the archive ends before its closing block.
        ValueError: a header is damaged.
    """
    while (header := _header(stream)) is not None:
        yield header
        stream.seek(header.offset + _padded(header.size))


def _header(stream: io.BufferedIOBase) -> _Header | None:
    """The next member's header, including its extended headers; None at the end."""
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
    while more:  # the sparse map continues
        more = _exactly(stream, _BLOCK, "inside an extended header")[504]
    # Links, folders and devices have no data, whatever their stated size.
    has_data = info.isreg() or info.type not in tarfile.SUPPORTED_TYPES
    size = int(said.get("size", info.size)) if has_data else 0
    if size < 0:  # would go backwards, and loop forever
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
