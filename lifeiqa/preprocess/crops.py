"""From a decoded image to the square uint8 crops that the network takes; deterministic.

docs/reference/preprocessing.md is the specification, for every language: step 2 is `working_size`,
step 3 `resize`, step 4 `CropPlan`.

Resizing runs the two passes one by one, the horizontal first: when Pillow is asked for both at
once, their order depends on its version.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from lifeiqa.config import Preprocessing, Resample
from lifeiqa.errors import ConfigError, ImageError
from lifeiqa.preprocess.decode import MAX_PIXELS
from lifeiqa.preprocess.raster import Pixels, Raster, rows_of, strips

R = TypeVar("R", bound=Raster)

_KERNELS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_MAX_CROPS = 1024
_MAX_COVER = 16

GAPS_NOTE = f"the image is too long for crop plan cover: its {_MAX_COVER} crops leave gaps"
"""What users are told of an image on which `CropPlan.leaves_gaps`."""


@dataclass(frozen=True)
class CropPlan:
    """Where crops are taken: ``center``, ``cover``, ``five``, ``grid:N`` or ``random:N:SEED``.

    - ``center``: one window in the middle.
    - ``cover``: as few windows as cover the longer side, evenly spaced from edge to edge and
      centered across the shorter side; at most 16, see `leaves_gaps`.
    - ``five``: the middle, then the four corners, row by row.
    - ``grid:N``: N x N windows, evenly spaced from edge to edge, row by row; grid:1 is the middle.
    - ``random:N:SEED``: N windows drawn by SplitMix64 from SEED.

    Step 4 of docs/reference/preprocessing.md.
    """

    kind: Literal["center", "cover", "five", "grid", "random"]
    number: int = 1
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> CropPlan:
        """Parse a plan.

        Raises:
            ConfigError: the text is not a plan, or its number of crops is not 1 to 1,024.
        """
        kind, *numbers = text.split(":")
        values = [int(n) if re.fullmatch("[0-9]{1,20}", n) else -1 for n in numbers]
        plan = None
        if kind in ("center", "cover", "five") and not values:
            plan = cls(kind)  # type: ignore[arg-type]  # narrowed by the line above
        elif kind == "grid" and len(values) == 1:
            plan = cls("grid", values[0])
        elif kind == "random" and len(values) == 2 and 0 <= values[1] < 2**64:
            plan = cls("random", *values)
        if plan is None or not 1 <= plan.max_count <= _MAX_CROPS or plan.number < 1:
            raise ConfigError(
                f"crop plan {text!r}: write center, cover, five, grid:N or random:N:SEED, "
                f"for 1 to {_MAX_CROPS} crops"
            )
        return plan

    @property
    def max_count(self) -> int:
        """Most crops of one image. Only ``cover`` gives some images fewer."""
        fixed = {"center": 1, "cover": _MAX_COVER, "five": 5, "grid": self.number**2}
        return fixed.get(self.kind, self.number)

    @property
    def min_count(self) -> int:
        """Fewest crops of one image."""
        return 1 if self.kind == "cover" else self.max_count

    def leaves_gaps(self, height: int, width: int, size: int) -> bool:
        """Whether ``cover`` would take more than 16 windows of side ``size`` in such an image.

        Between its 16 windows there are then pixels that no crop shows. False for other plans,
        which do not promise to cover anything.
        """
        return self.kind == "cover" and max(height, width) > _MAX_COVER * size

    def windows(self, height: int, width: int, size: int) -> list[tuple[int, int]]:
        """``(top, left)`` of each crop of side ``size`` in an image at least that large."""
        rows, columns = height - size, width - size
        if self.kind == "random":
            generator = _SplitMix64(self.seed)
            return [
                (generator.below(rows + 1), generator.below(columns + 1))
                for _ in range(self.number)
            ]
        middle = (rows // 2, columns // 2)
        if self.kind == "grid" and self.number > 1:
            steps = range(self.number)
            last = self.number - 1
            return [(rows * y // last, columns * x // last) for y in steps for x in steps]
        if self.kind == "cover":
            return _cover(rows, columns, size)
        if self.kind == "five":
            return [middle, (0, 0), (0, columns), (rows, 0), (rows, columns)]
        return [middle]


def _cover(rows: int, columns: int, size: int) -> list[tuple[int, int]]:
    """The windows of ``cover`` in an image that is so much larger than a crop of ``size``."""
    spare = max(rows, columns)
    count = min(-(-(spare + size) // size), _MAX_COVER)
    places = [spare * number // max(1, count - 1) for number in range(count)]
    if columns >= rows:
        return [(rows // 2, left) for left in places]
    return [(top, columns // 2) for top in places]


class _SplitMix64:
    """Steele, Lea and Flood (2014): a generator of ten lines, the same in every language."""

    def __init__(self, seed: int) -> None:
        self.state = seed % 2**64

    def below(self, bound: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) % 2**64
        return (mixed ^ (mixed >> 31)) % bound


def crops_from_pixels(pixels: Pixels, preprocessing: Preprocessing, size: int) -> Pixels:
    """Cut an image into crops as its model wants them.

    Args:
        pixels: RGB uint8 ``(H, W, 3)``.
        preprocessing: working scale, kernel and crop plan.
        size: side S of a crop in pixels.

    Returns:
        uint8 ``(N, S, S, 3)``, N as the plan says; with ``cover`` it depends on the image.

    Raises:
        ImageError: the image is so thin that enlarging its short side to S gives more pixels
            than an image may have.
        ConfigError: the crop plan cannot be read, or the working scale is below the crop.
    """
    plan = CropPlan.parse(preprocessing.crops)
    image = at_working_scale(pixels, preprocessing, size)
    height, width = image.shape[:2]
    return crops_at(plan.windows(height, width, size), image, size)


def at_working_scale(image: R, preprocessing: Preprocessing, size: int) -> R | Pixels:
    """The image ``(H', W', 3)`` that crops of side ``size`` are cut from, steps 2 and 3."""
    height, width = image.shape[:2]
    height, width = working_size(height, width, preprocessing.short_side, size)
    return resize(image, height, width, preprocessing.resample)


def crops_at(windows: Sequence[tuple[int, int]], image: Raster, size: int) -> Pixels:
    """Copy the windows, ``(top, left)`` each, to ``(N, S, S, 3)``, step 4."""
    return np.stack([image[top : top + size, left : left + size] for top, left in windows])


def working_size(height: int, width: int, short_side: int | None, size: int) -> tuple[int, int]:
    """``(height, width)`` at which crops of side ``size`` are taken, step 2."""
    if short_side is not None and short_side < size:
        raise ConfigError(f"short_side {short_side} is below the crop of {size} pixels")
    short = min(height, width)
    target = short
    if short < size:
        target = size
    elif short_side is not None and short > short_side:
        target = short_side
    if target == short:
        return height, width
    sides = [max(size, (2 * side * target + short) // (2 * short)) for side in (height, width)]
    if sides[0] * sides[1] > MAX_PIXELS:
        raise ImageError(
            f"an image of {width}x{height} is too thin: with its short side at {target} it would "
            f"be {sides[1]}x{sides[0]}. Crop it before scoring"
        )
    return sides[0], sides[1]


def resize(image: R, height: int, width: int, resample: Resample) -> R | Pixels:
    """Resize RGB uint8 by two one-axis passes, step 3. One of that size is returned."""
    old_height, old_width = image.shape[:2]
    if (height, width) == (old_height, old_width):
        return image
    kernel = _KERNELS[resample]
    # Rows are independent of each other in the first pass and columns in the second, so that
    # strips give the same bytes as the whole, in little memory.
    narrow = Image.new("RGB", (width, old_height))
    for rows in strips(old_height, max(old_width, width)):
        strip = rows_of(image, rows)
        narrow.paste(strip.resize((width, strip.height), kernel), (0, rows.start))
    resized = np.empty((height, width, 3), np.uint8)
    for columns in strips(width, max(old_height, height)):
        strip = narrow.crop((columns.start, 0, columns.stop, old_height))
        resized[:, columns] = np.asarray(strip.resize((strip.width, height), kernel))
    return resized


def with_plan(preprocessing: Preprocessing, crops: str | None) -> Preprocessing:
    """The same preprocessing with another crop plan; None keeps the model's own."""
    CropPlan.parse(preprocessing.crops if crops is None else crops)
    if crops is None:
        return preprocessing
    return dataclasses.replace(preprocessing, crops=crops)
