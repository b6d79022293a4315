"""Every code block of README.md and docs/ marked ``<!-- run -->`` is run.

The blocks of a page run in their order in one folder, which holds the files that `prepared` makes.
Python blocks share one namespace; shell blocks run in bash and stop at the first failure.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
MARK = "<!-- run -->"
BLOCK = re.compile(
    rf"^(?P<indent> *){MARK}\n(?P=indent)```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MARKED = [page for page in PAGES if MARK in page.read_text("utf-8")]


def blocks(page):
    return [
        (found["language"], textwrap.dedent(found["code"]))
        for found in BLOCK.finditer(page.read_text("utf-8"))
    ]


def prepared(folder):
    """Files that the pages speak of: photo.jpg, photos/, labels.csv, table.csv."""
    from skimage import data

    photographs = {"astronaut": data.astronaut(), "cat": data.chelsea(), "coffee": data.coffee()}
    (folder / "photos").mkdir()
    rows = ["image,score"]
    for number, (name, pixels) in enumerate(photographs.items()):
        image = Image.fromarray(pixels)
        image.save(folder / f"photos/{name}.jpg", quality=90)
        image.reduce(4).resize(image.size).save(folder / f"photos/{name}-blurred.jpg", quality=90)
        rows += [f"{name}.jpg,0.{9 - number}", f"{name}-blurred.jpg,0.{3 - number}"]
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    shutil.copy(folder / "photos/cat.jpg", folder / "photo.jpg")


def test_the_marks_are_found():
    for page in MARKED:
        assert len(blocks(page)) == page.read_text("utf-8").count(MARK), page


@pytest.mark.parametrize("page", MARKED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_marked_blocks_run(page, tmp_path, monkeypatch):
    prepared(tmp_path)
    monkeypatch.chdir(tmp_path)
    scripts = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    names = {"__name__": "example"}

    for language, code in blocks(page):
        if language == "python":
            exec(compile(code, str(page), "exec"), names)
        else:
            assert language == "sh", f"{page}: {language} is not run; mark python or sh"
            command = ["bash", "-euo", "pipefail", "-c", code]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, code + done.stdout + done.stderr
