"""Files that are whole or absent, and their fingerprints."""

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
    """Hexadecimal sha256 of a file, read in pieces."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def require_plain_name(what: str, name: object) -> None:
    """Refuse what cannot be part of the name of a file, in its own folder, on every system.

    Raises:
        ConfigError: with ``what`` it was to name.
    """
    fits = isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable()
    if not fits or name in (".", "..") or {"/", "\\"} & set(str(name)):
        raise ConfigError(
            f"{what} is {name!r}: files are named so, and 1 to 200 printable characters "
            f"without / and \\ are expected"
        )


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path; when the block ends well it takes the place of ``path`` at once.

    The temporary file lies in the same folder, so that the last step is a rename: a reader, or a
    process killed at any moment, sees the old file or the new one and never a part. When the block
    raises, nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files that their owner alone can read
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def require_regular(path: str | os.PathLike[str]) -> None:
    """Refuse what is not a regular file: a pipe may wait for ever, a device may never end.

    Raises:
        OSError: it is none, or is not there.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def require_place(path: Path) -> None:
    """Refuse a path where no file can be written, before the work that is to be kept there.

    Folders on the way are made.

    Raises:
        OutputError: something else is there, or the folder takes no file.
    """
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: it is there, and no regular file; name another path")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        cause = error.strerror or str(error)
        raise OutputError(
            f"{path}: no file can be written there: {cause}; name another path"
        ) from error


def remove_unfinished(folder: Path, pattern: str) -> None:
    """Remove what `atomic_write` left of files in a process that was killed.

    Args:
        folder: that they are in; nobody else may be writing them.
        pattern: of their names, as `pathlib.Path.glob` reads it.
    """
    for left in folder.glob(f".{pattern}.*.part"):
        left.unlink()


@contextlib.contextmanager
def atomic_folder(path: Path, *, staging: Path | None = None) -> Iterator[Path]:
    """Yield a temporary folder; when the block ends well it becomes ``path`` at once.

    The folder's counterpart of `atomic_write`, for a folder that is new.

    Args:
        path: of the folder.
        staging: where the temporary one lies, in the same file system; else beside ``path``.

    Raises:
        OSError: there is something at ``path`` already.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(dir=staging or path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(folder)
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())  # mkdtemp makes folders for their owner alone
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
