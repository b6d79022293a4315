"""The sheet of distortions to look at, and their times."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from helpers.raster import encoded, pattern
from lifeiqa.data.distortions import KINDS, distort
from lifeiqa_benchmarks import distortion_speed
from lifeiqa_benchmarks.distortion_sheet import HEADING, MARGIN, main, sheet


def test_a_sheet_shows_the_middle_of_each_kind_at_each_strength():
    pixels, kinds = pattern(60, 80), [KINDS["darken"], KINDS["haze"]]
    shown = np.asarray(sheet(pixels, kinds, side=40, seed=2))

    step_y, step_x = 40 + MARGIN + HEADING, 40 + MARGIN
    assert shown.shape == (2 * step_y, 6 * step_x, 3)
    for row, kind in enumerate(kinds):
        for strength in (0, 3, 5):
            top, left = row * step_y + HEADING, strength * step_x
            expected = distort(pixels, kind.name, strength, seed=2)[10:50, 20:60]
            np.testing.assert_array_equal(shown[top : top + 40, left : left + 40], expected)


def test_the_command_writes_a_sheet_of_the_kinds_that_are_named(tmp_path):
    (tmp_path / "image.png").write_bytes(encoded(pattern(40, 50), "PNG"))
    arguments = ["--kinds", "jpeg", "--side", "32", "-o", str(tmp_path / "sheet.png")]
    result = CliRunner().invoke(main, [str(tmp_path / "image.png"), *arguments])

    assert result.exit_code == 0
    with Image.open(tmp_path / "sheet.png") as shown:
        assert shown.size == (6 * (32 + MARGIN), 32 + MARGIN + HEADING)


@pytest.mark.parametrize("kinds", ["fog", "jpeg,"])
def test_an_unknown_kind_is_bad_input(kinds, tmp_path):
    (tmp_path / "image.png").write_bytes(encoded(pattern(40, 50), "PNG"))
    arguments = ["--kinds", kinds, "-o", str(tmp_path / "sheet.png")]
    result = CliRunner().invoke(main, [str(tmp_path / "image.png"), *arguments])

    assert result.exit_code == 2
    assert "choose one of gaussian_blur" in result.stderr
    assert not (tmp_path / "sheet.png").exists()


def test_times_are_printed_for_each_kind(capsys):
    distortion_speed.main("darken", "jpeg")
    rows = capsys.readouterr().out.splitlines()

    assert [row.split(" | ")[0] for row in rows[2:]] == ["| darken", "| jpeg"]
    assert all(float(cell) > 0 for cell in rows[2].strip("| ").split(" | ")[1:])
