"""Processes that this one started to decode images."""

import contextlib
import os
from pathlib import Path


def decoders():
    """Process ids of the decoders that this process started and that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            ours = int(parent) == os.getpid() and state != "Z"
            if ours and "process_worker" in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found
