"""Videos that are made here, frame by frame, against what was put into them; and pooling."""

import gc
import math
import os
import random
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lifeiqa.bulk.items import Sampling
from lifeiqa.bulk.video import frames, pooled
from lifeiqa.config import Labels
from lifeiqa.errors import ImageError, MissingDependencyError

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


def test_odd_sizes_keep_every_pixel(tmp_path):
    path = write(tmp_path / "v.mkv", "ffv1", size=(101, 67), count=2)
    assert [pixels.shape for _, pixels in frames(path, EVERY)] == [(67, 101, 3)] * 2


def corners(path):
    """A lossless video of one frame, whose pixels are all different."""
    picture = np.arange(48 * 64 * 3, dtype=np.uint16).reshape(48, 64, 3).astype(np.uint8)
    picture[..., 0] = np.arange(48)[:, None]
    picture[..., 1] = np.arange(64)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        stream.options = {"qp": "0"}
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return picture


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


def until_error(path, **options):
    """How many frames came, and the error behind them without the name of the file."""
    found = []
    with pytest.raises(ImageError) as refused:
        found.extend(frame for frame, _ in frames(path, EVERY, **options))
    assert str(refused.value).startswith(f"{path}: ")
    return len(found), str(refused.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi", "v.mpg"])
def test_a_video_that_is_cut_off_gives_the_frames_before_and_then_an_error(tmp_path, name):
    path = tmp_path / name
    write(path, "mpeg2video" if name == "v.mpg" else "mpeg4")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    count, message = until_error(str(path))
    assert 0 < count < 50
    assert message.startswith(("damaged", "Invalid data"))


def test_a_damaged_video_gives_the_frames_before_and_then_an_error(tmp_path):
    path = tmp_path / "v.mpg"
    noise = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(50):
            texture = noise.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(texture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = noise.bytes(300)
    path.write_bytes(content)
    count, _ = until_error(str(path))
    assert 0 < count < 50


def test_what_is_no_video_is_refused_by_name_and_cause(tmp_path):
    text = tmp_path / "v.mp4"
    text.write_text("dear diary\n" * 500)
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "empty.mkv").touch()
    for name, cause in (
        ("v.mp4", "Invalid data"),
        ("empty.mkv", ""),
        ("fifo.mp4", "not a regular file"),
        ("lost.mp4", "No such file or directory"),
    ):
        count, message = until_error(str(tmp_path / name))
        assert count == 0
        assert cause in message


def write_sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), "s16", "mono")
        frame.rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def test_sound_without_a_picture_is_refused(tmp_path):
    assert until_error(write_sound(tmp_path / "v.mkv")) == (0, "no video in it")


def test_a_playlist_opens_no_other_file(tmp_path):
    """libav knows one by its content, and would read what it names."""
    inner = write(tmp_path / "inner.ts", "mpeg2video")
    path = tmp_path / "v.mp4"
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:2,\n{inner}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {inner}\n",
    ):
        path.write_text(text)
        assert until_error(str(path))[0] == 0


def test_frames_of_too_many_pixels_are_refused_before_they_are_decoded(tmp_path):
    path = write(tmp_path / "v.avi", count=2)
    assert len(list(frames(path, EVERY, max_pixels=64 * 48))) == 2
    count, message = until_error(path, max_pixels=64 * 48 - 1)
    assert count == 0
    assert message.startswith("64x48 has more than 3,071 pixels")


def test_a_file_name_may_hold_any_byte_and_look_like_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in (os.fsdecode(b"caf\xe9.avi"), "concat:a.avi|b.avi", "http:x.avi"):
        write("plain.avi", count=2)
        try:
            os.rename("plain.avi", name)  # noqa: PTH104
        except OSError:
            pytest.skip("this file system has no such names")
        assert len(numbers_and_levels(name)) == 2


def test_nothing_reaches_the_terminal(tmp_path):
    path = tmp_path / "v.mkv"
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    code = (
        "import sys; from lifeiqa.bulk import items, video\n"
        "try: list(video.frames(sys.argv[1], items.Sampling(every=1)))\n"
        "except Exception as error: print(type(error).__name__)"
    )
    command = [sys.executable, "-c", code, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("ImageError\n", "")


def test_no_thread_is_started(tmp_path):
    tasks = Path("/proc/self/task")
    if not tasks.is_dir():
        pytest.skip("threads of libraries are counted in /proc, which is not here")
    path = write(tmp_path / "v.mp4", "libx264" if "libx264" in av.codecs_available else "mpeg4")
    before = len(list(tasks.iterdir()))
    for _ in frames(path, EVERY):
        assert len(list(tasks.iterdir())) == before


def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path):
    """Frames that are passed on are given back at once, without the collector of cycles."""
    path = write(tmp_path / "v.avi", count=60)
    gc.collect()
    gc.disable()
    try:
        for frame, _ in frames(path, Sampling(every=10)):
            alive = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
            assert alive < 5, frame
    finally:
        gc.enable()


def test_without_pyav_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingDependencyError, match=r"lifeiqa\[video\]"):
        next(frames("v.mp4", EVERY))


MOS = Labels(dataset="made up", low=0, high=100)
DMOS = Labels(dataset="made up", low=0, high=100, direction="lower")


@pytest.mark.parametrize("labels", [MOS, DMOS])
def test_pooling_is_what_its_words_say(labels):
    draw = random.Random(6)
    worst = min if labels.direction == "higher" else max
    for count in (1, 2, 19, 20, 21, 40, 41, 333):
        stamps = sorted(draw.uniform(0, 9) for _ in range(count))
        scores = [draw.uniform(0, 100) for _ in range(count)]
        found = pooled(stamps, scores, labels)
        assert found.mean == pytest.approx(np.mean(scores))
        # Frames are put aside, the worst first, until they are at least 5 %.
        left, aside = list(scores), []
        while len(aside) * 20 < count:
            aside.append(left.pop(left.index(worst(left))))
        assert found.low5 == aside[-1]
        means = {
            second: np.mean(
                [s for t, s in zip(stamps, scores, strict=True) if second <= t < second + 1]
            )
            for second in {int(stamp) for stamp in stamps}
        }
        assert found.worst_second == pytest.approx(worst(means.values()))
        assert means[found.worst_time] == worst(means.values())


def test_the_first_of_equally_bad_seconds_is_named():
    for labels in (MOS, DMOS):
        assert pooled([0.5, 1.5, 2.5], [7.0, 7.0, 7.0], labels) == (7.0, 7.0, 7.0, 0.0)


def test_no_frame_has_no_pooled_score():
    with pytest.raises(ImageError, match="no frame"):
        pooled([], [], MOS)
