"""Draw every kind of distortion at strengths 0 to 5, to look at.

``python -m lifeiqa_benchmarks.distortion_sheet IMAGE -o sheet.png``: a row for each kind, with the
mean opinion (1 to 5) over each image. The image is reduced to the scale that strengths hold at.
"""

from __future__ import annotations

from pathlib import Path

import click
from PIL import Image, ImageDraw, ImageFont

from lifeiqa.cli.shared import guarded
from lifeiqa.data.distortions import KINDS, LEVELS, Kind, distort, kind_of
from lifeiqa.data.distortions.scale import reduced
from lifeiqa.preprocess.decode import Pixels, decode

MARGIN, HEADING = 4, 18


def sheet(pixels: Pixels, kinds: list[Kind], *, side: int, seed: int = 0) -> Image.Image:
    """One row a kind, strengths 0 to 5 from left to right.

    Args:
        pixels: the image, distorted whole.
        kinds: in order of the rows.
        side: of the square that is shown of each, pixels, from the middle.
        seed: of the random fields.
    """
    font = ImageFont.load_default(13)
    step_x, step_y = side + MARGIN, side + MARGIN + HEADING
    whole = Image.new("RGB", ((LEVELS + 1) * step_x, len(kinds) * step_y), "white")
    draw = ImageDraw.Draw(whole)
    for row, kind in enumerate(kinds):
        for level in range(LEVELS + 1):
            shown = Image.fromarray(_middle(distort(pixels, kind.name, level, seed=seed), side))
            corner = level * step_x, row * step_y
            draw.text(corner, _heading(kind, level), fill="black", font=font)
            whole.paste(shown, (corner[0], corner[1] + HEADING))
    return whole


def _heading(kind: Kind, level: int) -> str:
    if level == 0:
        return kind.name
    if kind.opinions is None:
        return f"{level}"
    return f"{level}: {'about ' * kind.estimated}{kind.opinions[level - 1]:.2f}"


def _middle(pixels: Pixels, side: int) -> Pixels:
    top, left = (max(0, (size - side) // 2) for size in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


@click.command()
@click.argument("image", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("-o", "output", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--kinds", metavar="KIND,...", help="In place of all.")
@click.option("--side", type=click.IntRange(16), default=256, show_default=True, help="Of a tile.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@guarded
def main(image: Path, output: Path, kinds: str | None, side: int, seed: int) -> None:
    """Draw every kind of distortion of IMAGE at strengths 0 to 5."""
    chosen = [kind_of(name) for name in (KINDS if kinds is None else kinds.split(","))]
    sheet(reduced(decode(image)), chosen, side=side, seed=seed).save(output)


if __name__ == "__main__":
    main()
