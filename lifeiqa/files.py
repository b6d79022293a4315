"""Atomic files and folders, and their checksums."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lifeiqa.errors import ConfigError, OutputError


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file, read in blocks."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def require_plain_name(what: str, name: object) -> None:
    """Refuse a name that cannot be part of a file name on every system.

    Raises:
        ConfigError: the message says ``what`` has the bad name.
    """
    fits = isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable()
    if not fits or name in (".", "..") or {"/", "\\"} & set(str(name)):
        raise ConfigError(
            f"{what} is {name!r}: it becomes part of a file name, so expected 1 to 200 printable "
            f"characters without / and \\"
        )


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces ``path`` in one step when the block succeeds.

    The temporary file is in the same folder, so the last step is a rename. A reader sees the old
    file or the new one, never a part, even if the process is killed. If the block raises, nothing
    is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files that only the owner can read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def require_regular(path: str | os.PathLike[str]) -> None:
    """Refuse anything but a regular file: a pipe may block forever, a device may never end.

    Raises:
        OSError: it is not a regular file, or does not exist.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def require_place(path: Path) -> None:
    """Check that a file can be written at a path, before the work that produces it.

    Missing parent folders are made.

    Raises:
        OutputError: something that is not a file is there, or the folder is not writable.
    """
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: exists and is not a regular file; name another path")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        cause = error.strerror or str(error)
        raise OutputError(
            f"{path}: cannot write a file there: {cause}; name another path"
        ) from error


def remove_unfinished(folder: Path, pattern: str) -> None:
    """Remove temporary files that `atomic_write` left in a process that was killed.

    Args:
        folder: where they are; no other process may be writing them.
        pattern: glob pattern of the final names, see `pathlib.Path.glob`.
    """
    for left in folder.glob(f".{pattern}.*.part"):
        left.unlink()


@contextlib.contextmanager
def atomic_folder(path: Path, *, staging: Path | None = None) -> Iterator[Path]:
    """Yield a temporary folder, which is renamed to ``path`` when the block succeeds.

    The counterpart of `atomic_write` for a new folder.

    Args:
        path: of the folder.
        staging: parent of the temporary folder, on the same file system; default beside ``path``.

    Raises:
        OSError: something exists at ``path`` already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(dir=staging or path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(folder)
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())  # mkdtemp makes folders that only the owner can read
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
