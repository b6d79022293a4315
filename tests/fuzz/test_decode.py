"""Fuzzing from small files of every format; what crashes is shown."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lifeiqa

HARNESS = Path(__file__).with_name("fuzz_decode.py")


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.long)])
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_no_file_gets_past_decoding_but_as_crops_or_an_image_error(tmp_path, seconds):
    sources, helpers = Path(lifeiqa.__file__).parents[1], HARNESS.parents[1]
    command = [sys.executable, HARNESS, tmp_path / "corpus"]
    command += [f"-max_total_time={seconds}", "-timeout=5", "-rss_limit_mb=1024"]
    # Linux counts the peak memory of who starts a process as its own: the shell between is small.
    command = ["sh", "-c", '"$@"; exit $?', "sh", *command]
    run = subprocess.run(
        [*command, f"-artifact_prefix={tmp_path}/", "-verbosity=0"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (sources, helpers)))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds + 100,
    )
    crashes = [path for path in tmp_path.iterdir() if path.is_file()]
    shown = "\n".join(f"{path.name}: {path.read_bytes().hex()}" for path in crashes)
    assert run.returncode == 0, f"{run.stdout[-4000:]}\n{shown}"
    assert crashes == []
