"""The line on the terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from helpers import tiny

LIFEIQA = Path(sys.executable).with_name("lifeiqa")


@pytest.fixture
def images(tmp_path):
    for number in range(30):
        tiny.write_image(tmp_path / "images" / f"{number}.png", number)
    (tmp_path / "images" / "bad.png").write_text("dear diary")
    return tmp_path / "images"


def terminal_of(*arguments, stdout=subprocess.DEVNULL):
    """What a command writes on its terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))
    command = [
        LIFEIQA,
        "score",
        "--runtime",
        "onnxruntime",
        "--device",
        "cpu",
        *map(str, arguments),
    ]
    process = subprocess.Popen(command, stdout=stdout, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        while block := os.read(ours, 4096):
            written += block
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    process.wait()
    return written.decode()


def test_a_run_says_how_far_it_is(model, images, tmp_path):
    written = terminal_of("--model", model, images, "--out", tmp_path / "out")

    last = written.strip().rpartition("\r")[2]
    assert "31/31" in last
    assert "1 failed" in last
    assert "inputs/s" in last


def test_a_resumed_run_counts_what_was_done(model, images, tmp_path):
    terminal_of("--model", model, images, "--out", tmp_path / "out")

    written = terminal_of("--model", model, images, "--out", tmp_path / "out")

    assert "31/31" in written
    assert "1 failed" in written


def test_without_a_terminal_nothing_is_written(model, images, tmp_path):
    done = subprocess.run(
        [LIFEIQA, "score", "--model", model, images, "--out", tmp_path / "out"],
        capture_output=True,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 1)
