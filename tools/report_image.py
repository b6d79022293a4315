"""Make docs/images/report.webp, the page of `lifeiqa score --html` as Chromium shows it.

``make images``. The photographs are those that scikit-image ships, whole and distorted.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from lifeiqa_benchmarks.distorted import write_distorted

TARGET = Path(__file__).resolve().parent.parent / "docs/images/report.webp"
_WIDTH, _HEIGHT = 1200, 900


def main() -> None:
    """Score the photographs into a page, and photograph the page."""
    with tempfile.TemporaryDirectory() as scratch:
        photographs, page, shot = (Path(scratch, n) for n in ("photographs", "page.html", "a.png"))
        write_distorted(photographs)
        for path in photographs.glob("*.gaussian_blur.0.png"):
            path.rename(path.with_name(path.name.replace(".gaussian_blur.0", "")))
        command = [sys.executable, "-m", "lifeiqa", "score", "photographs", "--html", page.name]
        subprocess.run(command, cwd=scratch, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--window-size={_WIDTH},{_HEIGHT}", "--virtual-time-budget=10000"),
                *(f"--screenshot={shot}", page.as_uri()),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        TARGET.parent.mkdir(exist_ok=True)
        Image.open(shot).convert("RGB").save(TARGET, quality=80, method=6)


if __name__ == "__main__":
    main()
