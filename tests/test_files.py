import hashlib
import os
import signal
import subprocess
import sys

import pytest

from lifeiqa.files import atomic_folder, atomic_write, sha256_of

KILLED_HALF_WAY = """
import os, signal, sys
from pathlib import Path
from lifeiqa.files import atomic_write

with atomic_write(Path(sys.argv[1])) as temporary:
    with temporary.open("wb") as stream:
        stream.write(b"new, but only ha")
        stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)
"""


def write_half(path, error):
    with atomic_write(path) as temporary:
        temporary.write_text("half")
        raise error


@pytest.fixture
def umask():
    """The function that sets the umask, for one test."""
    before = os.umask(0)
    yield os.umask
    os.umask(before)


def test_a_block_that_ends_well_replaces_the_file(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_reads_it_to_its_end(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("old")
    with path.open() as reader:
        with atomic_write(path) as temporary:
            temporary.write_text("new")
        assert reader.read() == "old"


def test_missing_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "model.onnx"
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("old", ["old", None])
def test_a_block_that_raises_leaves_what_was_there(error, old, tmp_path):
    path = tmp_path / "model.onnx"
    if old is not None:
        path.write_text(old)
    with pytest.raises(error):
        write_half(path, error)
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ([] if old is None else [old])


def test_a_target_that_cannot_be_replaced_leaves_no_temporary_file(tmp_path):
    folder = tmp_path / "model.onnx"
    folder.mkdir()
    with pytest.raises(OSError), atomic_write(folder) as temporary:
        temporary.write_text("new")
    assert list(tmp_path.iterdir()) == [folder]


def test_a_killed_process_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "last.pt"
    path.write_bytes(b"old and whole")
    process = subprocess.run([sys.executable, "-c", KILLED_HALF_WAY, path], check=False)
    assert process.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old and whole"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_permissions_follow_the_umask(mask, mode, tmp_path, umask):
    umask(mask)
    path = tmp_path / "model.onnx"
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
    assert path.stat().st_mode & 0o777 == mode
    assert umask(0) == mask, "the umask of the process was changed"


def test_a_folder_appears_with_everything_in_it(tmp_path):
    path = tmp_path / "models" / "tiny"
    with atomic_folder(path) as temporary:
        (temporary / "model.onnx").write_text("new")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert (path / "model.onnx").read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_whose_block_raises_is_not_there(error, tmp_path):
    def write_half():
        with atomic_folder(tmp_path / "tiny") as temporary:
            (temporary / "model.onnx").write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["file", "folder"])
def test_a_folder_takes_the_place_of_nothing(there, tmp_path):
    path = tmp_path / "tiny"
    kept = path if there == "file" else path / "mine"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(OSError), atomic_folder(path) as temporary:
        (temporary / "model.onnx").write_text("new")
    assert kept.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o755), (0o027, 0o750), (0o077, 0o700)])
def test_permissions_of_a_folder_follow_the_umask(mask, mode, tmp_path, umask):
    umask(mask)
    path = tmp_path / "tiny"
    with atomic_folder(path):
        pass
    assert path.stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    ("content", "digest"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ],
)
def test_sha256_of_published_examples(content, digest, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert sha256_of(path) == digest


def test_sha256_covers_every_piece_of_a_large_file(tmp_path):
    content = bytes(range(256)) * 4097  # a little more than the megabyte read at once
    path = tmp_path / "file"
    path.write_bytes(content)
    assert sha256_of(path) == hashlib.sha256(content).hexdigest()
