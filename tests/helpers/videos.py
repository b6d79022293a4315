"""Videos that are made frame by frame, each frame one level of grey."""

from fractions import Fraction

import av
import numpy as np

from lifeiqa.bulk.items import Sampling
from lifeiqa.bulk.reading.video import frames

EVERY = Sampling(every=1)
SIZE = (64, 48)


def grey(number):
    """The level of a made video's frame: how it is known again after a lossy codec."""
    return 30 + 4 * (number % 50)


def write(path, codec="mpeg4", *, count=50, size=SIZE, pixels="yuv420p", times=None, **options):
    """A video of plain frames at 25 a second, or at ``times`` in thousandths of a second."""
    rate = 25 if times is None else 1000
    container_options = {"movflags": "faststart"} if str(path).endswith(".mp4") else {}
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt, stream.bit_rate, stream.options = pixels, 4_000_000, options
        for number, time in enumerate(range(count) if times is None else times):
            plain = np.full((size[1], size[0], 3), grey(number), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(plain, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = time, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def numbers_and_levels(path, sampling=EVERY):
    return [(frame.number, pixels.mean()) for frame, pixels in frames(path, sampling)]


def times(path, sampling):
    return [frame.time for frame, _ in frames(path, sampling)]
