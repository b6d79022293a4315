"""Frames of videos that are made here, against what was put into them."""

import math
import random
from fractions import Fraction

import av
import numpy as np
import pytest

from helpers.videos import EVERY, SIZE, grey, numbers_and_levels, times, write
from lifeiqa.bulk.items import Sampling
from lifeiqa.bulk.reading.video import frames

FORMS = [
    ("v.mp4", "libx264", {"pixels": "yuv420p"}),  # frames are stored in another order
    ("v.mkv", "libx264", {"pixels": "yuv444p", "x264-params": "keyint=7:open-gop=1"}),
    ("v.webm", "libvpx-vp9", {"cpu-used": "8", "deadline": "realtime"}),
    ("v.avi", "mpeg4", {}),
    ("v.mpg", "mpeg2video", {"bf": "2"}),
    ("v.m2ts", "mpeg2video", {}),
    ("v.mov", "mjpeg", {"pixels": "yuvj420p"}),
    ("v.flv", "flv", {}),
    ("v.wmv", "wmv2", {}),
    ("v.mkv", "ffv1", {"pixels": "bgr0"}),
]


@pytest.mark.parametrize(("name", "codec", "options"), FORMS)
def test_every_frame_comes_in_order_of_display(tmp_path, name, codec, options):
    if codec not in av.codecs_available:
        pytest.skip(f"this libav has no {codec}")
    path = write(tmp_path / name, codec, count=30, **options)
    found = list(frames(path, EVERY))
    assert [frame.number for frame, _ in found] == list(range(30))
    np.testing.assert_allclose([frame.time for frame, _ in found], np.arange(30) / 25, atol=2e-3)
    for number, (_, pixels) in enumerate(found):
        assert pixels.dtype == np.uint8
        assert pixels.shape == (48, 64, 3)
        assert abs(pixels.mean() - grey(number)) < 2


@pytest.mark.parametrize("every", [1, 2, 7, 49, 50, 1000])
def test_every_nth_frame_is_taken(tmp_path, every):
    path = write(tmp_path / "v.avi")
    found = numbers_and_levels(path, Sampling(every=every))
    assert [number for number, _ in found] == list(range(0, 50, every))
    assert all(abs(level - grey(number)) < 2 for number, level in found)


def first_at_or_after(stamps, per_second):
    """The slow plain version: for each k the first frame at or after k / N, once."""
    taken = set()
    for k in range(math.ceil(max(stamps) * per_second) + 1):
        taken.add(next((time for time in stamps if time >= Fraction(k) / per_second), None))
    return sorted(float(time) for time in taken - {None})


@pytest.mark.parametrize("rate", ["1", "2", "3", "10", "12.5", "25", "60", "0.5", "0.3", "29.97"])
def test_frames_are_taken_by_their_time(tmp_path, rate):
    path = write(tmp_path / "v.mkv", count=60)
    stamps = [Fraction(number, 25) for number in range(60)]
    expected = first_at_or_after(stamps, Fraction(rate))
    assert times(path, Sampling(per_second=float(rate))) == pytest.approx(expected)


@pytest.mark.parametrize("start", [0, 5000])
def test_a_variable_frame_rate_is_sampled_by_time_from_the_first_frame(tmp_path, start):
    steps = random.Random(2)
    stamps = [0]
    for _ in range(60):
        stamps.append(stamps[-1] + steps.choice([10, 20, 40, 350, 1700]))
    path = write(tmp_path / "v.mkv", times=[start + stamp for stamp in stamps])
    for rate in (Fraction(1), Fraction(5), Fraction(1, 2)):
        expected = first_at_or_after([Fraction(stamp, 1000) for stamp in stamps], rate)
        assert times(path, Sampling(per_second=float(rate))) == pytest.approx(expected)
    assert times(path, EVERY) == pytest.approx([stamp / 1000 for stamp in stamps])


def test_frames_that_are_passed_over_are_told_of_as_well(tmp_path):
    """What time a frame may take is counted from there, however seldom one is scored."""
    path, told = write(tmp_path / "v.avi"), []

    taken = list(frames(path, Sampling(every=1000), decoded=lambda: told.append(1)))

    assert (len(taken), len(told)) == (1, 50)


def test_odd_sizes_keep_every_pixel(tmp_path):
    path = write(tmp_path / "v.mkv", "ffv1", size=(101, 67), count=2)
    assert [pixels.shape for _, pixels in frames(path, EVERY)] == [(67, 101, 3)] * 2


def corners(path):
    """A lossless video of one frame, whose pixels are all different."""
    image = np.arange(48 * 64 * 3, dtype=np.uint16).reshape(48, 64, 3).astype(np.uint8)
    image[..., 0] = np.arange(48)[:, None]
    image[..., 1] = np.arange(64)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        stream.options = {"qp": "0"}
        container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return image


# Quarter turns, mirrors and both: the first four of the matrix, in units of 1.
MATRICES = [
    *[(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)],
    *[(-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)],
]


@pytest.mark.parametrize("matrix", MATRICES)
def test_frames_are_turned_and_mirrored_as_the_file_says(tmp_path, matrix):
    """Against the definition of the display matrix, pixel by pixel."""
    if "libx264rgb" not in av.codecs_available:
        pytest.skip("this libav has no libx264rgb")
    path = tmp_path / "v.mp4"
    stored = corners(path)
    a, b, c, d = matrix
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44  # a track header, version 0: nine numbers, ISO 14496-12
    for place, value in zip((0, 1, 3, 4), matrix, strict=True):
        content[at + 4 * place : at + 4 * place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    ((_, shown),) = frames(str(path), EVERY)
    places = {(a * x + c * y, b * x + d * y): stored[y, x] for y in range(48) for x in range(64)}
    left, top = (min(place[axis] for place in places) for axis in (0, 1))
    expected = np.empty((64, 48, 3) if a == 0 else (48, 64, 3), dtype=np.uint8)
    for (x, y), pixel in places.items():
        expected[y - top, x - left] = pixel
    np.testing.assert_array_equal(shown, expected)
    assert shown.flags.c_contiguous


WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def rgb_of(luma, blue, red, matrix, full):
    """The equations of BT.601, BT.709 and BT.2020, in 0..255."""
    of_red, of_blue = WEIGHTS[matrix]
    y = luma / 255 if full else (luma - 16) / 219
    u, v = ((chroma - 128) / (255 if full else 224) for chroma in (blue, red))
    r, b = y + 2 * (1 - of_red) * v, y + 2 * (1 - of_blue) * u
    g = (y - of_red * r - of_blue * b) / (1 - of_red - of_blue)
    return 255 * np.clip([r, g, b], 0, 1)


def write_yuv(path, samples, size, matrix, full):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        frame = av.VideoFrame(*size, "yuv420p")
        for plane, sample in zip(frame.planes, samples, strict=True):
            plane.update(bytes([sample]) * plane.buffer_size)
        frame.pts, frame.colorspace = 0, matrix
        stream.codec_context.colorspace = matrix
        frame.color_range = stream.codec_context.color_range = {None: 0, False: 1, True: 2}[full]
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


@pytest.mark.parametrize("full", [None, False, True])
@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
def test_colours_follow_the_matrix_and_range_of_the_file(tmp_path, matrix, full):
    for samples in ((120, 90, 170), (60, 140, 120), (200, 128, 128)):
        path = write_yuv(tmp_path / "v.mkv", samples, SIZE, matrix, full)
        ((_, pixels),) = frames(path, EVERY)
        expected = np.broadcast_to(rgb_of(*samples, matrix, full), pixels.shape)
        np.testing.assert_allclose(pixels, expected, atol=1.1)


@pytest.mark.parametrize(
    ("size", "matrix"), [((64, 576), 6), ((64, 578), 1), ((1278, 16), 6), ((1280, 16), 1)]
)
def test_colours_without_a_matrix_are_guessed_from_the_size(tmp_path, size, matrix):
    path = write_yuv(tmp_path / "v.mkv", (120, 90, 170), size, 2, None)
    ((_, pixels),) = frames(path, EVERY)
    expected = np.broadcast_to(rgb_of(120, 90, 170, matrix, False), pixels.shape)
    np.testing.assert_allclose(pixels, expected, atol=1.1)
