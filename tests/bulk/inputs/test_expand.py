"""Folders, patterns and lists as items; archives, tables and addresses have tests of their own."""

import io
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from lifeiqa.bulk.inputs.expand import InputOptions, items
from lifeiqa.bulk.items import Address, Failure, File, Item, Sampling, Video
from lifeiqa.errors import ConfigError, DatasetError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A folder of names that a careless order, or a careless search, gets wrong."""
    names = ["b.png", "B.PNG", "a/z.jpg", "a.jpg", "a/b/c.webp", "a/b.mp4", "é.png", ".h/x.png"]
    for name in [*names, "notes.txt", "a/t.csv", "a/s.tar", "c/empty.txt"]:
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tree"


def names(*inputs, **options):
    return [item.name for item in items(inputs, InputOptions(**options))]


def from_list(monkeypatch, data, **options):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    return list(items(["-"], InputOptions(**options)))


def test_a_named_file_is_an_image_whatever_its_suffix(tmp_path):
    path = str(tmp_path / "lost.dat")
    assert list(items([path])) == [Item(path, File(path))]


def test_a_video_is_known_by_its_suffix_and_carries_its_sampling():
    sampling = Sampling(every=5)
    (item,) = items(["a/clip.MP4"], InputOptions(sampling=sampling))
    assert item == Item("a/clip.MP4", Video("a/clip.MP4", sampling))


@pytest.mark.parametrize("wrong", [{}, {"every": 0}, {"per_second": -1.0}, {"per_second": 1e999}])
def test_a_sampling_that_takes_no_frame_is_refused(wrong):
    with pytest.raises(ConfigError, match="frames of a video"):
        Sampling(**wrong)


def test_a_folder_gives_its_images_and_videos_in_the_order_of_their_bytes(tree):
    assert names("tree") == ["tree/B.PNG", "tree/a.jpg", "tree/b.png", "tree/é.png"]


def test_folders_below_are_searched_in_the_order_of_paths(tree):
    found = names("tree", recursive=True)
    inside = ["a/b/c.webp", "a/b.mp4", "a/z.jpg"]
    expected = [".h/x.png", "B.PNG", *inside, "a.jpg", "b.png", "é.png"]
    assert found == [f"tree/{name}" for name in expected]
    # The slow plain version: every path, compared name by name.
    suffixes = {".png", ".jpg", ".webp", ".mp4"}
    plain = [path for path in tree.rglob("*") if path.suffix.lower() in suffixes]
    assert found == [str(path.relative_to(tree.parent)) for path in sorted(plain)]


def test_the_files_and_folders_of_a_folder_are_sorted_together(tmp_path):
    for number in random.Random(1).sample(range(500), 300):
        if number % 3:
            (tmp_path / f"{number}.png").touch()
        else:
            tmp_path.joinpath(f"{number}").mkdir()
            tmp_path.joinpath(f"{number}", "in.png").touch()

    found = names(str(tmp_path), recursive=True)

    assert found == [str(path) for path in sorted(tmp_path.rglob("*.png"))]
    assert len(found) == 300


def test_memory_for_a_folder_is_that_of_its_names(monkeypatch):
    """20,000 entries, whose names take 84 bytes each as Python's bytes, and 8 in a list."""

    class Entry:
        def __init__(self, number):
            self.name = f"{number * 7919 % 20_000:06d}-{'x' * 40}.png"

        def is_dir(self):
            return False

    class Entries:
        def __enter__(self):
            return map(Entry, range(20_000))

        def __exit__(self, *error):
            return None

    monkeypatch.setattr(os, "scandir", lambda folder: Entries())
    monkeypatch.setattr(os.path, "isdir", lambda path: True)
    tracemalloc.start()
    try:
        count, last = 0, ""
        for item in items(["made-up"]):
            assert item.name > last
            count, last = count + 1, item.name
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 100 * count


def test_linked_images_are_taken_and_linked_folders_are_not_gone_into(tree):
    (tree / "loop").symlink_to(tree)
    (tree / "b.jpg").symlink_to(tree / "notes.txt")
    (tree / "c" / "self.png").symlink_to("self.png")
    (tree / "folder.png").symlink_to(tree / "a")
    found = names("tree", recursive=True)
    assert "tree/b.jpg" in found
    assert "tree/c/self.png" in found  # a broken link is a row with its error
    assert not any("loop" in name or "folder.png" in name for name in found)


def test_a_named_link_to_a_folder_is_a_folder(tree):
    (tree.parent / "link").symlink_to(tree)
    assert names("link")[0] == "link/B.PNG"


def test_folders_may_lie_deeper_than_python_recurses(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1100):
        Path("d").mkdir()
        os.chdir("d")
    Path("x.png").touch()
    os.chdir(tmp_path)
    (name,) = names("d", recursive=True)
    assert name.count("/") == 1100
    for _ in range(1100):  # rmtree, which clears the temporary folder, recurses
        os.chdir("d")
    Path("x.png").unlink()
    for _ in range(1100):
        os.chdir("..")
        Path("d").rmdir()


def test_a_folder_that_cannot_be_read_is_a_row_and_the_rest_goes_on(tree, monkeypatch):
    scandir = os.scandir

    def guarded(path):
        if os.fspath(path) in ("tree/a", "tree/c"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = list(items(["tree"], InputOptions(recursive=True)))
    denied = Failure("DatasetError", "folder cannot be read: Permission denied")
    assert [item for item in found if isinstance(item.origin, Failure)] == [
        Item("tree/a", denied),
        Item("tree/c", denied),
    ]
    assert [item.name for item in found if isinstance(item.origin, File)] == [
        "tree/.h/x.png",
        "tree/B.PNG",
        "tree/a.jpg",
        "tree/b.png",
        "tree/é.png",
    ]


@pytest.mark.parametrize("recursive", [True, False])
def test_a_named_folder_without_an_image_is_refused_once_it_was_listed(tree, recursive):
    with pytest.raises(DatasetError, match=r"^tree/c: no image in this folder"):
        list(items(["tree/c"], InputOptions(recursive=recursive)))


@pytest.mark.parametrize("wrong", ["tree/c", "tree/*.bmp", "lost.csv", "empty.tar", "-"])
def test_one_of_several_inputs_without_an_image_stops_no_other(tree, monkeypatch, wrong):
    """As "photos/*" may name a folder of texts."""
    Path("empty.tar").write_bytes(bytes(1024))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))

    first, bad, last = items(["tree/b.png", wrong, "tree/a.jpg"])

    assert (first.name, bad.name, last.name) == ("tree/b.png", wrong, "tree/a.jpg")
    assert bad.origin.kind == "DatasetError"


def test_a_name_that_is_no_utf8_or_two_lines_is_printable_and_its_path_is_whole(tmp_path):
    try:
        for name in (b"caf\xe9.png", b"two\nlines.png"):
            (tmp_path / os.fsdecode(name)).touch()
    except OSError:
        pytest.skip("this file system has no such names")
    found = list(items([str(tmp_path)]))
    assert [item.name for item in found] == [
        rf"{tmp_path}/caf\xe9.png",
        rf"{tmp_path}/two\nlines.png",
    ]
    assert all(Path(item.origin.path).exists() for item in found)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("tree/*.png", ["b.png", "é.png"]),
        ("tree/[ab].*", ["a.jpg", "b.png"]),
        ("tree/**/*.[jw]*", ["a/b/c.webp", "a/z.jpg", "a.jpg"]),
        ("tree/**/**/b/**/c.*", ["a/b/c.webp"]),  # once, by however many ways it matches
        ("tree/a/**/?.*p*", ["a/b/c.webp", "a/b.mp4", "a/z.jpg"]),
        ("tree/.h/*.png", [".h/x.png"]),
        ("tree/.?/*", [".h/x.png"]),
    ],
)
def test_a_pattern_that_the_shell_left_alone_is_expanded(tree, pattern, expected):
    assert names(pattern) == [f"tree/{name}" for name in expected]


def test_a_pattern_passes_over_hidden_names_as_a_shell_does(tree):
    assert not any(".h" in name for name in names("tree/**/*.png"))


def test_a_folder_that_a_pattern_matches_is_searched_unless_two_stars_end_it(tree):
    for name in ("a/s.tar", "a/t.csv"):
        (tree / name).unlink()
    inside = ["tree/a/b/c.webp", "tree/a/b.mp4", "tree/a/z.jpg"]
    assert names("tre?/a") == ["tree/a/b.mp4", "tree/a/z.jpg"]
    assert names("tree/?", recursive=True) == inside
    assert names("tree/a/**") == inside


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tree):
    (tree / "[ab].jpg").touch()
    assert names("tree/[ab].jpg") == ["tree/[ab].jpg"]


def test_a_pattern_without_a_match_is_refused(tree):
    with pytest.raises(DatasetError, match=r"^tree/\*\.bmp: no file"):
        names("tree/*.bmp")


def test_a_list_names_files_folders_and_videos(tree, monkeypatch):
    found = from_list(monkeypatch, b"tree/b.png\r\n\ntree/a\nlost*.png\nx.mkv")
    assert [item.name for item in found] == [
        "tree/b.png",
        "tree/a/b.mp4",
        "tree/a/z.jpg",
        "lost*.png",
        "x.mkv",
    ]
    assert isinstance(found[-1].origin, Video)


def test_a_list_with_nul_bytes_holds_any_name(monkeypatch):
    found = from_list(monkeypatch, b"two\nlines\r\0caf\xe9.png\0\0last\r", nul=True)
    assert [os.fsencode(item.origin.path) for item in found] == [
        b"two\nlines\r",
        b"caf\xe9.png",
        b"last\r",
    ]
    assert [item.name for item in found] == [r"two\nlines\r", r"caf\xe9.png", r"last\r"]


def test_a_list_is_read_whole_however_its_blocks_fall(monkeypatch):
    expected = [f"{'x' * (number % 91)}{number}.png" for number in range(9000)]
    found = from_list(monkeypatch, "\n".join(expected).encode())
    assert [item.name for item in found] == expected


def test_a_list_is_scored_while_it_is_still_written():
    """The first name comes out before the second is written."""
    code = (
        "import sys; from lifeiqa.bulk.inputs.expand import items\n"
        "for item in items(['-']): print(item.name, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        for name in (b"a.png\n", b"b.png\n"):
            process.stdin.write(name)
            process.stdin.flush()
            assert process.stdout.readline() == name


def test_what_is_no_list_is_refused_before_it_fills_the_memory(monkeypatch):
    with pytest.raises(DatasetError, match="more than 65,536 bytes"):
        from_list(monkeypatch, b"\xff\xd8" * 500_000)


def test_an_empty_list_is_refused(monkeypatch):
    with pytest.raises(DatasetError, match="standard input"):
        from_list(monkeypatch, b"\n\n")


def test_a_folder_without_an_image_in_a_list_is_a_row(tree, monkeypatch):
    empty, good = from_list(monkeypatch, b"tree/c\ntree/b.png\n")
    assert empty.name == "tree/c"
    assert empty.origin.kind == "DatasetError"
    assert empty.origin.message.startswith("no image in this folder")
    assert good.name == "tree/b.png"


def test_addresses_count_only_when_they_are_allowed(monkeypatch):
    refused, allowed = (
        from_list(monkeypatch, b"HTTP://user:secret@host/a?b=[1]*\n", allow_http=answer)[0]
        for answer in (False, True)
    )
    assert refused.origin.kind == "ConfigError"
    assert "--allow-http" in refused.origin.message
    assert allowed == Item("HTTP://host/a?b=[1]*", Address("HTTP://user:secret@host/a?b=[1]*"))
    assert refused.name == allowed.name
    assert names("http://host/a*") == ["http://host/a*"]


def test_an_address_is_no_archive_table_or_video_whatever_its_suffix():
    urls = [f"http://host/x{suffix}" for suffix in (".tar", ".csv", ".parquet", ".mp4", "")]
    found = list(items(urls, InputOptions(allow_http=True)))
    assert found == [Item(url, Address(url)) for url in urls]


def test_a_closed_standard_input_is_an_empty_list(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DatasetError, match="standard input"):
        names("-")
