"""What is carried to a machine with a GPU: pieces that become files again, code for one chip."""

import struct
import subprocess

import pytest

from lifeiqa.errors import ArtifactError
from lifeiqa_benchmarks.gpu.bundle import UNPACK, sources, write_pieces
from lifeiqa_benchmarks.gpu.fatbin import codes_in, keep_only


def entry(chip, code):
    head = bytearray(64)
    struct.pack_into("<H2xIQ", head, 0, 2, 64, len(code))
    struct.pack_into("<I", head, 28, chip)
    return bytes(head) + code


def container(*entries):
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, sum(map(len, entries))) + b"".join(entries)


def library(section, name=b".nv_fatbin"):
    """An ELF file of two sections: their names, and code for GPUs."""
    names = b"\0" + name + b"\0.shstrtab\0"
    body = b"\x7fELF\x02\x01" + bytes(58) + section
    start, text = 64, len(body)
    body += names
    table = len(body)
    for title, offset, size in (
        (0, 0, 0),
        (1, start, len(section)),
        (2 + len(name), text, len(names)),
    ):
        body += struct.pack("<II4QIIQQ", title, 1, 0, 0, offset, size, 0, 0, 0, 0)
    data = bytearray(body)
    struct.pack_into("<Q", data, 40, table)
    struct.pack_into("<HHH", data, 58, 64, 3, 2)
    return bytes(data)


def test_code_for_other_chips_becomes_zeros_and_nothing_else_changes():
    first = container(entry(75, b"a" * 24), entry(90, b"b" * 32))
    second = container(entry(90, b"c" * 8))
    whole = library(first + second)
    kept = keep_only(whole, 90)

    assert [code.chip for code in codes_in(whole)] == [75, 90, 90]
    assert kept == whole.replace(b"a" * 24, bytes(24))


def test_a_library_without_code_for_the_chip_is_refused():
    with pytest.raises(ArtifactError, match="no code for sm_90, but for sm_75, sm_80"):
        keep_only(library(container(entry(80, b"a" * 8), entry(75, b"b" * 8))), 90)


def test_a_library_without_code_for_gpus_stays_as_it_is():
    plain = library(b"x" * 64, name=b".nv_nothing")

    assert keep_only(plain, 90) == plain


@pytest.mark.parametrize("section", [b"\1" * 64, container(entry(90, b"a" * 8))[:-4]])
def test_another_layout_is_refused(section):
    with pytest.raises(ArtifactError, match="no container of code at byte 64"):
        keep_only(library(section), 90)


def test_what_is_no_library_is_refused():
    with pytest.raises(ArtifactError, match="not a 64-bit"):
        codes_in(b"PK\3\4" + bytes(100))


def test_pieces_become_the_same_files_again(tmp_path):
    members = [("package/a.py", b"a = 1\n"), ("package/b.so", bytes(range(256)) * 4000)]
    (tmp_path / "bundle" / "unpack.sh").parent.mkdir()
    (tmp_path / "bundle" / "unpack.sh").write_text(UNPACK)
    sizes = write_pieces(members, tmp_path / "bundle" / "mine", limit=500)
    command = ["sh", "bundle/unpack.sh", "target", "mine"]
    subprocess.run(command, cwd=tmp_path, check=True)

    assert len(sizes) > 1
    assert max(sizes) <= 500
    for name, data in members:
        assert (tmp_path / "target" / "site" / name).read_bytes() == data


def test_fewer_pieces_leave_no_old_one_behind(tmp_path):
    write_pieces([("a", bytes(range(256)) * 40)], tmp_path, limit=100)
    sizes = write_pieces([("a", b"a")], tmp_path, limit=10_000)

    assert [path.name for path in tmp_path.iterdir()] == ["piece-00"]
    assert (tmp_path / "piece-00").stat().st_size == sizes[0]


def test_sources_hold_the_project_as_an_installed_package(tmp_path):
    for command in (["init", "-q"], ["add", "."]):
        (tmp_path / "lifeiqa" / "weights").mkdir(parents=True, exist_ok=True)
        (tmp_path / "lifeiqa" / "code.py").write_text("pass\n")
        (tmp_path / "lifeiqa" / "weights" / "__init__.py").write_text("pass\n")
        (tmp_path / "lifeiqa" / "weights" / "x.onnx").write_text("heavy")
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    with_weights = dict(sources(tmp_path, weights=True))
    without = dict(sources(tmp_path, weights=False))

    assert with_weights.keys() - without.keys() == {"lifeiqa/weights/x.onnx"}
    assert "lifeiqa/weights/__init__.py" in without
    (about,) = (data for name, data in without.items() if name.endswith("dist-info/METADATA"))
    assert b"\nName: lifeiqa\nVersion: " in about
