"""From an image to its crops, size and thumbnail; one image, or many in processes."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

from PIL import Image

from lifeiqa.config import Preprocessing
from lifeiqa.errors import ImageError, LifeIQAError
from lifeiqa.preprocess.crops import CropPlan, at_working_scale, crops_at, resize
from lifeiqa.preprocess.decode import MAX_PIXELS, ImageSource, describe, load
from lifeiqa.preprocess.raster import Pixels, Raster

THUMBNAIL_SIDE = 128
"""Longest side of a thumbnail, in pixels; a smaller image keeps its size."""


@dataclass(frozen=True)
class Cut:
    """An image, decoded and cut.

    Attributes:
        crops: uint8 ``(N, S, S, 3)``.
        width: of the upright image, in pixels.
        height: of the upright image, in pixels.
        thumbnail: the bytes of a WebP file; None unless asked for.
    """

    crops: Pixels
    width: int
    height: int
    thumbnail: bytes | None = None


def cut(
    source: ImageSource,
    preprocessing: Preprocessing,
    size: int,
    *,
    max_pixels: int = MAX_PIXELS,
    thumbnail: bool = False,
) -> Cut:
    """Decode an image and cut it into crops as its model wants them.

    Args:
        source: see `lifeiqa.preprocess.decode.decode`.
        preprocessing: working scale, kernel and crop plan.
        size: side S of a crop in pixels.
        max_pixels: largest width times height that is decoded.
        thumbnail: whether to make one too.

    Raises:
        ImageError: it cannot be decoded or cropped; the message names it and the cause.
        ConfigError: the crop plan cannot be read, or the working scale is below the crop.
    """
    plan = CropPlan.parse(preprocessing.crops)
    image = load(source, max_pixels=max_pixels)
    full_height, full_width = image.shape[:2]
    try:
        image = at_working_scale(image, preprocessing, size)
    except ImageError as error:
        raise ImageError(f"{describe(source)}: {error}") from error
    height, width = image.shape[:2]
    crops = crops_at(plan.windows(height, width, size), image, size)
    small = _thumbnail(image) if thumbnail else None
    return Cut(crops, full_width, full_height, small)


@dataclass(frozen=True)
class CutImage:
    """How the images of a model are cut; the task of a worker process.

    Attributes:
        preprocessing: working scale, kernel and crop plan.
        size: side S of a crop in pixels.
        max_pixels: the largest image that is decoded.
        thumbnail: whether to make one too.
    """

    preprocessing: Preprocessing
    size: int
    max_pixels: int = MAX_PIXELS
    thumbnail: bool = False

    @property
    def result_bytes(self) -> int:
        """Size of the crops of one image."""
        return CropPlan.parse(self.preprocessing.crops).count * self.size**2 * 3

    def cut(self, image: ImageSource) -> Cut:
        """See `cut`."""
        return cut(
            image,
            self.preprocessing,
            self.size,
            max_pixels=self.max_pixels,
            thumbnail=self.thumbnail,
        )

    def cut_or_error(self, image: ImageSource) -> Cut | LifeIQAError:
        """What `cut` returns, or raises."""
        try:
            return self.cut(image)
        except LifeIQAError as error:
            return error

    def __call__(self, image: ImageSource, restart_clock: Callable[[], None], /) -> Iterator[Cut]:
        """See `lifeiqa.preprocess.process_worker.Task`."""
        yield self.cut(image)


def cut_many(
    images: Iterable[ImageSource],
    task: CutImage,
    *,
    workers: int,
    timeout: float,
    ahead: int,
) -> Generator[Cut | LifeIQAError]:
    """Cut many images, in order, as they are asked for.

    Args:
        images: paths and bytes are decoded in worker processes. Pillow images and arrays are cut in
            this process when they are drawn, so that their memory may be reused for the next one.
            Sending their pixels would cost this process two fifths of the time of cutting them.
        task: how each of them is cut.
        workers: number of processes; 0 cuts everything in this one.
        timeout: seconds of processor time that an image may take in a process.
        ahead: images that are read beyond those that keep the processes busy.

    Yields:
        The crops of each image, or why there are none.

    Raises:
        ConfigError: worker processes on a system that is not Linux.
        WorkerError: no process can be started.
    """
    if workers == 0:
        for image in images:
            yield task.cut_or_error(image)
        return
    from lifeiqa.preprocess.process_pool import ProcessPool
    from lifeiqa.preprocess.process_worker import Failure

    def here(image: ImageSource) -> Cut | Failure | None:
        if isinstance(image, str | bytes):
            return None
        found = task.cut_or_error(image)
        return Failure.of(found) if isinstance(found, LifeIQAError) else found

    with ProcessPool(
        task,
        workers=workers,
        seconds=timeout,
        ahead=4 * workers + ahead,
        result_bytes=task.result_bytes,
        here=here,
        weight=lambda image: len(image) if isinstance(image, bytes) else 0,
    ) as pool:
        for image, results in pool.results(map(_plain, images)):
            for found in results:
                yield found.error(describe(image)) if isinstance(found, Failure) else found


def _plain(image: ImageSource) -> ImageSource:
    """A path as text, which a process can be sent."""
    return os.fspath(image) if isinstance(image, os.PathLike) else image


def _thumbnail(image: Raster) -> bytes:
    height, width = image.shape[:2]
    longest = max(height, width, THUMBNAIL_SIDE)
    height, width = (max(1, side * THUMBNAIL_SIDE // longest) for side in (height, width))
    stream = io.BytesIO()
    small = resize(image, height, width, "bilinear")
    Image.fromarray(small[:]).save(stream, "WEBP", quality=75, method=0)
    return stream.getvalue()
