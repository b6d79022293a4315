"""What the commands of all stages share: how errors are told."""

import errno
import os

import click
import pytest
from click.testing import CliRunner

from lifeiqa.cli.shared import guarded
from lifeiqa.errors import ArtifactError, ParityError
from lifeiqa.text import printable


def told(error):
    @click.command()
    @guarded
    def command():
        raise error

    done = CliRunner().invoke(command)
    return done.exit_code, done.stderr


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("plain/ü 写真 \U0001f600.png", "plain/ü 写真 \U0001f600.png"),
        (b"caf\xe9.png", r"caf\xe9.png"),
        ("two\nlines\r\t.png", r"two\nlines\r\t.png"),
        ("\x1b[31mred\x9b.png", r"\x1b[31mred\x9b.png"),
        ("gnp.\u202eexe\u2066\u200f\u061c", r"gnp.\u202eexe\u2066\u200f\u061c"),
        ("half \ud83d", r"half \ud83d"),
        ("\u2028\u2029", r"\u2028\u2029"),
    ],
)
def test_a_name_is_one_line_that_moves_no_cursor(path, text):
    path = os.fsdecode(path)

    assert printable(path) == text
    printable(path).encode()


def test_an_error_keeps_its_lines_and_escapes_what_a_file_brought():
    status, text = told(ArtifactError("node 'x\x1b[31m' is wrong\n- a\n+ b"))

    assert (status, text) == (2, "ArtifactError: node 'x\\x1b[31m' is wrong\n- a\n+ b\n")


def test_a_check_that_fails_has_another_status():
    assert told(ParityError("it drifted"))[0] == 1


def test_an_interruption_is_no_outcome():
    assert told(KeyboardInterrupt()) == (130, "interrupted\n")


@pytest.mark.parametrize("names", [("to",), ("from", None, "to")])
def test_a_full_disk_is_told_by_the_file_that_was_to_be_written(names):
    error = OSError(errno.ENOSPC, "No space left on device", *names)

    assert told(error) == (2, "to: No space left on device\n")
