"""The library under AddressSanitizer and UndefinedBehaviorSanitizer: no fault, no leak, no hang."""

import subprocess
from pathlib import Path

from helpers.painting import painted
from helpers.pngs import PNG_KINDS, png_of_kind
from helpers.raster import encoded, orientation
from lifeiqa.weights import bundled
from lifeiqa_export.photographs import photographs

COPIES = 1500
"""Damaged copies of each file."""


def test_the_example_runs_without_a_fault_or_a_leak(build):
    command = [build / "checked-example" / "lifeiqa-csv", "--threads", "1", bundled()]
    done = subprocess.run(
        [*command, *photographs()[:3], "none.jpg"], capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert len(done.stdout.splitlines()) == 5


def test_damaged_files_give_errors_or_images(build, tmp_path):
    pixels = painted(61, 47)
    files = {
        "baseline.jpg": encoded(pixels, "JPEG", exif=orientation(6), restart_marker_rows=1),
        "progressive.jpg": encoded(pixels, "JPEG", progressive=True),
        "grey.jpg": encoded(pixels[..., 0], "JPEG"),
        "exif.png": encoded(pixels, "PNG", exif=orientation(5)),
        **{f"{colour}-{depth}.png": png_of_kind(colour, depth) for colour, depth in PNG_KINDS},
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    program = tmp_path / "programs"
    source = Path(__file__).parent / "programs"
    install = build / "checked-install"
    configure = ["cmake", "-S", source, "-B", program, f"-DCMAKE_PREFIX_PATH={install}"]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", program], check=True, capture_output=True)

    done = subprocess.run(
        [program / "mutate", str(COPIES), *files],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )

    assert (done.returncode, done.stderr) == (0, "")
    counts = {name: (int(a), int(b)) for name, a, b in map(str.split, done.stdout.splitlines())}
    assert list(counts) == list(files)
    for name, (images, errors) in counts.items():
        assert images + errors == COPIES
        assert errors > 0, name
    # Some damage leaves a JPEG readable, as it does for Pillow.
    assert counts["baseline.jpg"][0] > 0
