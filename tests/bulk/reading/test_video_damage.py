"""Videos that are damaged, hostile or large, and what decoding them may take."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.videos import EVERY, SIZE, numbers_and_levels, write
from lifeiqa.bulk.items import Sampling
from lifeiqa.bulk.reading.video import frames
from lifeiqa.errors import ImageError, MissingDependencyError


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


def test_sound_without_an_image_is_refused(tmp_path):
    assert until_error(write_sound(tmp_path / "v.mkv")) == (0, "it has no video stream")


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
        "import sys; from lifeiqa.bulk import items; from lifeiqa.bulk.reading import video\n"
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
