"""Frames of a video, decoded by libav through PyAV.

- Every Nth frame is taken, or the first at or after k / N seconds of presentation time for each
  k = 0, 1, 2 ..., counted from the first frame; so a variable frame rate needs nothing of its own.
- Frames are upright: the display matrix of the first, turns and mirrors, is applied to all.
- YUV becomes full-range RGB by the matrix and range that the file states. Without a matrix it is
  BT.709 above 1279 x 576 pixels, else BT.601, as players guess; without a range it is the limited
  one, but for the full-range formats of JPEG. Chroma is interpolated (bicubic), the arithmetic of
  libswscale is its accurate, bit-exact one.
- Pixels stay as they are stored: no stretching to a display aspect, no deinterlacing, no mapping of
  HDR tones; transparency is dropped.
- Damage ends the video with an error: what a decoder cannot read, what the container calls damaged
  or cut off, frames and packets marked as corrupt. Damage that decodes without complaint is not
  seen: most codecs have no checksum.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np

from lifeiqa.bulk.items import Frame, Sampling
from lifeiqa.errors import ImageError, require
from lifeiqa.files import require_regular
from lifeiqa.preprocess.decode import MAX_PIXELS, Pixels

# Containers that hold their own frames. Playlists and the like would have libav open more files,
# or addresses.
_CONTAINERS = "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,h264,hevc,ivf,mxf"
_BT709, _BT601 = 1, 5  # SWS_CS_ITU709, SWS_CS_ITU601
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
# SWS_BICUBIC, FULL_CHR_H_INT, FULL_CHR_H_INP, ACCURATE_RND, BITEXACT
_ACCURATE = 4 | 0x2000 | 0x4000 | 0x40000 | 0x80000

_Matrix: TypeAlias = tuple[int, int, int, int]
"""The display matrix ``(a, b, c, d)``, by which ``(x, y)`` lands at ``(a x + c y, b x + d y)``."""


def frames(
    path: str,
    sampling: Sampling,
    *,
    max_pixels: int = MAX_PIXELS,
    decoded: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Frame, Pixels]]:
    """The frames of a video that are to be scored, in order of display, one at a time.

    Decoding takes one thread, and memory for the few frames that the codec refers to.

    Args:
        path: a file; what is in it decides what it is.
        sampling: which frames are taken.
        max_pixels: largest width times height of a frame.
        decoded: called when a frame was decoded, whether it is taken or passed over.

    Yields:
        The frame's number and time, and RGB uint8 ``(H, W, 3)``.

    Raises:
        ImageError: it is no video, is damaged, or its frames are too large; names the file and the
            cause. Frames before the damage have been given by then.
        MissingDependencyError: PyAV is not installed.
    """
    av = require("av", extra="video", purpose="scoring a video")
    if av.logging.get_level() is None:
        av.logging.set_level(av.logging.PANIC)  # prints as little, and remembers the last error
    try:
        require_regular(path)
        known, _ = av.logging.get_last_error()
        with Path(path).open("rb") as file, _opened(av, file) as container:
            stream = _image_stream(av, container)
            _require_size(stream.codec_context, max_pixels)
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
            images = _told(_decoded(av, container, stream, known, max_pixels), decoded)
            rate = stream.average_rate or 25
            matrix: _Matrix | None = None
            for frame, image in _sampled(images, rate, sampling):
                # Once: to look at the side data of an image keeps it alive until gc.collect.
                matrix = _display_matrix(image) if matrix is None else matrix
                yield frame, _upright(_rgb(image), matrix)
    except Exception as error:  # libav's errors derive from a dozen classes
        raise ImageError(f"{path}: {_cause(error)}") from error


def _opened(av: Any, file: io.BufferedReader) -> Any:
    """A container of libav, which may open no other file and no address."""
    limits = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
    return av.open(file, container_options=limits, metadata_errors="replace")


def _image_stream(av: Any, container: Any) -> Any:
    """The first video that is no cover of a piece of music."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            if stream.codec_context is None:
                raise ImageError("its codec is none that libav here knows")
            return stream
    raise ImageError("no video in it")


def _decoded(av: Any, container: Any, stream: Any, known: int, max_pixels: int) -> Iterator[Any]:
    """Frames in order of display, up to the first sign of damage.

    ``known`` is how many errors libav had logged before the container was opened.
    """
    packets = container.demux(stream)
    begun = any_frame = False
    while True:
        packet = next(packets, None)
        errors, last = av.logging.get_last_error()
        if errors > known and last is not None and last[1] == container.format.name:
            # Some containers only log that they are damaged, and skip what is.
            raise ImageError(f"damaged: {last[2].strip()}")
        known = errors
        if packet is None:
            break
        if packet.is_corrupt:
            raise ImageError("damaged or cut off")
        begun = begun or packet.is_keyframe or packet.size == 0
        if not begun:
            continue  # a recording that was begun between two key frames: nothing to decode from
        for frame in packet.decode():
            if frame.is_corrupt:
                raise ImageError("a frame is damaged")
            _require_size(frame, max_pixels)  # it may change on the way
            any_frame = True
            yield frame
    if not any_frame:
        raise ImageError("no frame in it")


def _told(images: Iterator[Any], decoded: Callable[[], None]) -> Iterator[Any]:
    for image in images:
        decoded()
        yield image


def _sampled(images: Iterator[Any], rate: Any, sampling: Sampling) -> Iterator[tuple[Frame, Any]]:
    """The images that are taken, each with its number and time.

    Args:
        images: frames of libav in order of display.
        rate: frames a second where the file states no times.
        sampling: which are taken.
    """
    start: Fraction | None = None
    due = 0  # the next k of the times k / N
    for number, image in enumerate(images):
        time = Fraction(number) / rate if image.pts is None else image.pts * image.time_base
        start = time if start is None else start
        if sampling.every is not None:
            taken = number % sampling.every == 0
        else:
            # A decimal fraction as it was meant: 0.1 is one frame in exactly 10 s.
            passed = (time - start) * Fraction(str(sampling.per_second))
            taken = passed >= due
            due = math.floor(passed) + 1 if taken else due
        if taken:
            yield Frame(number, float(time - start)), image


def _cause(error: Exception) -> str:
    """What is wrong, and what libav logged of it last."""
    cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
    log = getattr(error, "log", None)
    return f"{cause}: {log[2].strip()}" if log else cause


def _require_size(image: Any, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise ImageError(
            f"{image.width}x{image.height} has more than {max_pixels:,} pixels; "
            f"reduce the video or raise max_pixels"
        )


def _rgb(image: Any) -> Pixels:
    matrix = None
    if image.colorspace == _UNSPECIFIED:
        matrix = _BT709 if image.width >= 1280 or image.height > 576 else _BT601
    rgb = image.reformat(format="rgb24", src_colorspace=matrix, interpolation=_ACCURATE, threads=1)
    return cast(Pixels, rgb.to_ndarray())


def _display_matrix(image: Any) -> _Matrix:
    found = image.side_data.get("DISPLAYMATRIX")
    if found is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(found, np.int32)[:5].tolist()
    return a, b, c, d


def _upright(pixels: Pixels, matrix: _Matrix) -> Pixels:
    """The image turned and mirrored; matrices that do anything else are passed over."""
    a, b, c, d = matrix
    if a == d == 0 and b and c:
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    elif b or c:
        return pixels
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
