"""What the commands of every stage share: exit status, folders, files."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from lifeiqa.errors import LifeIQAError, ParityError, TrainingError
from lifeiqa.text import printable_lines

P = ParamSpec("P")
R = TypeVar("R")

_INTERRUPTED = 130  # as shells count it; not an outcome of the work

Folder = click.Path(file_okay=False, path_type=Path)
File = click.Path(dir_okay=False, path_type=Path)


def guarded(command: Callable[P, R]) -> Callable[P, R]:
    """Turn errors of lifeiqa into one message and an exit status: 1 a check failed, 2 bad input.

    Ctrl-C gives 130.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except LifeIQAError as error:
            click.echo(f"{type(error).__name__}: {printable_lines(error)}", err=True)
            sys.exit(1 if isinstance(error, ParityError | TrainingError) else 2)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(_INTERRUPTED)
        except BrokenPipeError:  # the reader of the pipe wants no more; that is not an error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            # If there are two files, the second is the one to be written.
            name = error.filename2 or error.filename or "system"
            click.echo(printable_lines(f"{name}: {error.strerror or error}"), err=True)
            sys.exit(2)

    return wrapped
