"""What the commands of every stage share: exit status, model names, folders."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from lifeiqa.errors import ConfigError, LifeIQAError, ParityError, TrainingError
from lifeiqa.weights import bundled

P = ParamSpec("P")
R = TypeVar("R")

# Control characters, ends of lines, what changes the direction of writing, and bytes that are no
# UTF-8, which Python has as surrogates.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

_INTERRUPTED = 130  # as shells count it: no outcome of the work

Folder = click.Path(file_okay=False, path_type=Path)
File = click.Path(dir_okay=False, path_type=Path)


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Turn our errors into one message and an exit status: 1 a check failed, 2 bad input.

    Ctrl-C gives 130.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except LifeIQAError as error:
            click.echo(f"{type(error).__name__}: {_printable_lines(error)}", err=True)
            sys.exit(1 if isinstance(error, ParityError | TrainingError) else 2)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(_INTERRUPTED)
        except BrokenPipeError:  # the reader of a pipe had enough: no concern of ours
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            # Of two files the second is the one that was to be written.
            name = error.filename2 or error.filename or "system"
            click.echo(_printable_lines(f"{name}: {error.strerror or error}"), err=True)
            sys.exit(2)

    return wrapped


def model_file(name: str, suffix: str) -> Path:
    """A model file by its path, or a bundled one by its name.

    Raises:
        ConfigError: it is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    found = bundled(name, suffix)
    if found is None:
        raise ConfigError(f"{name}: neither a file nor the name of a bundled model")
    return found


def printable(path: str | os.PathLike[str]) -> str:
    """A path, or what a library says of one, as text that can be printed; one line.

    A name may hold any bytes, among them what moves a terminal's cursor: such are escaped.
    """
    return _UNPRINTABLE.sub(_escaped, os.fsdecode(path))


def _printable_lines(message: object) -> str:
    """A message may quote a stranger's file, and keeps its lines."""
    return "\n".join(map(printable, str(message).split("\n")))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte
        return f"\\x{code - 0xDC00:02x}"
    return found[0].encode("unicode_escape", "surrogatepass").decode()
