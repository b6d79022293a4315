"""Frames of a video, decoded by libav through PyAV.

- Every Nth frame is taken, or the first frame at or after k / N seconds of presentation time for
  k = 0, 1, 2 ..., counted from the first frame. This also covers variable frame rates.
- Frames are upright: the display matrix of the first frame, rotations and reflections, is applied
  to all.
- YUV becomes full-range RGB by the matrix and range that the file states. Without a matrix, BT.709
  is assumed for 1280 pixels or more in width or more than 576 in height, else BT.601, as players
  do. Without a range, limited range is assumed, except for JPEG's full-range formats. Chroma is
  interpolated (bicubic), and libswscale runs in its accurate, bit-exact mode.
- Pixels are used as stored: no scaling to the display aspect ratio, no deinterlacing, no HDR tone
  mapping. Transparency is dropped.
- Damage ends the video with an error: data that a decoder cannot read, a container that is damaged
  or truncated, frames and packets that are marked as corrupt. Damage that decodes without an error
  is not noticed, since most codecs have no checksum.
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

# Containers that hold their own frames. Playlists and the like would let libav open other files or
# addresses.
_CONTAINERS = "mov,mp4,matroska,webm,avi,mpeg,mpegts,mpegvideo,asf,flv,ogg,h264,hevc,ivf,mxf"
_BT709, _BT601 = 1, 5  # SWS_CS_ITU709, SWS_CS_ITU601
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
# SWS_BICUBIC, FULL_CHR_H_INT, FULL_CHR_H_INP, ACCURATE_RND, BITEXACT
_ACCURATE = 4 | 0x2000 | 0x4000 | 0x40000 | 0x80000

_Matrix: TypeAlias = tuple[int, int, int, int]
"""The display matrix ``(a, b, c, d)`` maps ``(x, y)`` to ``(a x + c y, b x + d y)``."""


def frames(
    path: str,
    sampling: Sampling,
    *,
    max_pixels: int = MAX_PIXELS,
    decoded: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Frame, Pixels]]:
    """The sampled frames of a video in display order, one at a time.

    Decoding uses one thread, and memory for the few frames that the codec refers to.

    Args:
        path: a file. Its content decides the format.
        sampling: which frames are taken.
        max_pixels: largest width times height of a frame.
        decoded: called after each frame was decoded, sampled or not.

    Yields:
        The number and time of the frame, and RGB uint8 ``(H, W, 3)``.

    Raises:
        ImageError: it is not a video, is damaged, or its frames are too large. The message names
            the file and the cause. Frames before the damage were yielded already.
        MissingDependencyError: PyAV is not installed.
    """
    av = require("av", extra="video", purpose="scoring a video")
    if av.logging.get_level() is None:
        av.logging.set_level(av.logging.PANIC)  # prints as little, but remembers the last error
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
                # Once: reading the side data of a frame keeps it alive until gc.collect.
                matrix = _display_matrix(image) if matrix is None else matrix
                yield frame, _upright(_rgb(image), matrix)
    except Exception as error:  # libav's errors derive from a dozen classes
        raise ImageError(f"{path}: {_cause(error)}") from error


def _opened(av: Any, file: io.BufferedReader) -> Any:
    """A libav container that may not open other files or addresses."""
    limits = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
    return av.open(file, container_options=limits, metadata_errors="replace")


def _image_stream(av: Any, container: Any) -> Any:
    """The first video stream that is not cover art."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            if stream.codec_context is None:
                raise ImageError("libav here has no decoder for its codec")
            return stream
    raise ImageError("it has no video stream")


def _decoded(av: Any, container: Any, stream: Any, known: int, max_pixels: int) -> Iterator[Any]:
    """Frames in display order, up to the first sign of damage.

    ``known`` is the number of errors that libav had logged before the container was opened.
    """
    packets = container.demux(stream)
    begun = any_frame = False
    while True:
        packet = next(packets, None)
        errors, last = av.logging.get_last_error()
        if errors > known and last is not None and last[1] == container.format.name:
            # Some demuxers only log damage, and skip the damaged data.
            raise ImageError(f"damaged: {last[2].strip()}")
        known = errors
        if packet is None:
            break
        if packet.is_corrupt:
            raise ImageError("damaged or truncated")
        begun = begun or packet.is_keyframe or packet.size == 0
        if not begun:
            continue  # a recording that starts between two key frames: nothing to decode from
        for frame in packet.decode():
            if frame.is_corrupt:
                raise ImageError("a frame is damaged")
            _require_size(frame, max_pixels)  # it may change within a video
            any_frame = True
            yield frame
    if not any_frame:
        raise ImageError("it has no frame that can be decoded")


def _told(images: Iterator[Any], decoded: Callable[[], None]) -> Iterator[Any]:
    for image in images:
        decoded()
        yield image


def _sampled(images: Iterator[Any], rate: Any, sampling: Sampling) -> Iterator[tuple[Frame, Any]]:
    """The sampled frames, each with its number and time.

    Args:
        images: frames of libav in display order.
        rate: frames per second, for a file without presentation times.
        sampling: which frames are taken.
    """
    start: Fraction | None = None
    due = 0  # the next k of the times k / N
    for number, image in enumerate(images):
        time = Fraction(number) / rate if image.pts is None else image.pts * image.time_base
        start = time if start is None else start
        if sampling.every is not None:
            taken = number % sampling.every == 0
        else:
            # The decimal fraction that was meant: 0.1 is one frame in exactly 10 s.
            passed = (time - start) * Fraction(str(sampling.per_second))
            taken = passed >= due
            due = math.floor(passed) + 1 if taken else due
        if taken:
            yield Frame(number, float(time - start)), image


def _cause(error: Exception) -> str:
    """What is wrong, with the last message that libav logged for it."""
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
    """The image rotated and reflected. Matrices that do anything else are ignored."""
    a, b, c, d = matrix
    if a == d == 0 and b and c:
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    elif b or c:
        return pixels
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
