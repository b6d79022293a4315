"""Archives against `tarfile`, which reads the same ones by other means, and against damage."""

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
import tracemalloc

import pytest

from lifeiqa.bulk.inputs import archives
from lifeiqa.bulk.inputs.archives import members
from lifeiqa.bulk.inputs.expand import items
from lifeiqa.bulk.items import Data, Failure, Item, Member
from lifeiqa.errors import DatasetError

COMPRESSED = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
LONG = "d" * 90 + "/" + "ü" * 120 + ".png"
FORMATS = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}


def tar(files, *, form=tarfile.PAX_FORMAT, **types):
    """The bytes of an archive; ``types`` are tar types by name of field of a further member."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind in types.items():
            info = tarfile.TarInfo(f"{name}.png")
            info.type, info.linkname = kind, "0.png"
            archive.addfile(info)
    return out.getvalue()


def images(count=5):
    """Files of sizes around the block of 512 bytes, and what else shards hold."""
    noise = random.Random(3)
    sizes = [0, 1, 511, 512, 513, 1024, 70_000][:count]
    files = {f"{number}.png": noise.randbytes(size) for number, size in enumerate(sizes)}
    return {**files, "0.json": b"{}", LONG: b"long", "./x/../.JPG.jpg": b"odd"}


def write(path, data):
    path.write_bytes(data)
    return str(path)


def data_of(item):
    origin = item.origin
    if isinstance(origin, Data):
        return origin.data
    with open(origin.archive, "rb") as stream:  # noqa: PTH123
        stream.seek(origin.offset)
        return stream.read(origin.size)


@pytest.mark.parametrize("form", FORMATS)
def test_members_lie_where_tarfile_finds_them(tmp_path, form):
    path = write(tmp_path / "s.tar", tar(images(7), form=FORMATS[form]))
    found = list(members(path))
    with tarfile.open(path) as archive:
        plain = [member for member in archive if not member.name.endswith(".json")]
    assert [(item.name, item.origin) for item in found] == [
        (f"{path}/{member.name}", Member(path, member.offset_data, member.size)) for member in plain
    ]
    assert len(found) == 9


@pytest.mark.parametrize("suffix", COMPRESSED)
@pytest.mark.parametrize("form", FORMATS)
def test_a_compressed_archive_gives_the_bytes_of_its_members(tmp_path, suffix, form):
    files = images(7)
    path = write(tmp_path / "s.tar", COMPRESSED[suffix](tar(files, form=FORMATS[form])))
    found = {item.name.removeprefix(f"{path}/"): data_of(item) for item in members(path)}
    assert found == {name: data for name, data in files.items() if not name.endswith(".json")}


@pytest.mark.parametrize("suffix", archives.ARCHIVE_SUFFIXES)
def test_an_archive_is_known_by_its_suffix(tmp_path, suffix):
    path = write(tmp_path / f"S{suffix.upper()}", tar({"a.png": b"data"}))
    (item,) = items([path])
    assert (item.name, data_of(item)) == (f"{path}/a.png", b"data")


def test_an_archive_without_an_image_is_refused(tmp_path):
    path = write(tmp_path / "s.tar", tar({"a.json": b"{}"}))
    with pytest.raises(DatasetError, match="no image in this archive"):
        list(items([path]))


def test_a_name_that_is_no_utf8_is_printable(tmp_path):
    name = os.fsdecode(b"caf\xe9\n.png")
    for form in FORMATS.values():
        path = write(tmp_path / "s.tar", tar({name: b"data"}, form=form))
        assert [item.name for item in members(path)] == [rf"{path}/caf\xe9\n.png"]


def test_names_that_lead_out_of_the_archive_touch_no_file(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    files = {"../out.png": b"1", str(tmp_path / "abs.png"): b"2", "a/../../up.png": b"3"}
    for name, data in (("s.tar", tar(files)), ("s.tgz", gzip.compress(tar(files)))):
        path = write(inside / name, data)
        assert [data_of(item) for item in members(path)] == [b"1", b"2", b"3"]
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "s.tar", "s.tgz"]


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_links_and_devices_are_rows_with_their_error(tmp_path, compress):
    data = tar(
        {"0.png": b"data"},
        hard=tarfile.LNKTYPE,
        symbolic=tarfile.SYMTYPE,
        fifo=tarfile.FIFOTYPE,
        device=tarfile.CHRTYPE,
        folder=tarfile.DIRTYPE,
    )
    path = write(tmp_path / "s.tar", compress(data))
    image, *others = members(path)
    assert data_of(image) == b"data"
    assert [item.name.removeprefix(f"{path}/") for item in others] == [
        "hard.png",
        "symbolic.png",
        "fifo.png",
        "device.png",
    ]
    assert all("links" in item.origin.message for item in others[:2])
    assert all("device" in item.origin.message for item in others[2:])


def sparse(form):
    """An archive of a sparse file of four or more pieces in a format of GNU tar, then an image."""
    number = b"%011o\0"
    if form == "old":
        header = bytearray(tarfile.TarInfo("sparse.png").tobuf(tarfile.GNU_FORMAT))
        header[124:136] = number % 512
        header[156:157] = tarfile.GNUTYPE_SPARSE
        header[482] = 1
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        blocks = bytes(504) + b"\1" + bytes(7) + bytes(512)
        start = bytes(header) + blocks + bytes(512)
    else:
        info = tarfile.TarInfo("GNUSparseFile.0/sparse.png")
        info.size = 512
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "sparse.png"}
        start = info.tobuf(tarfile.PAX_FORMAT) + bytes(512)
    return start + tar({"after.png": b"data"})


@pytest.mark.parametrize("form", ["old", "new"])
def test_a_sparse_member_is_a_row_with_its_error_and_the_next_is_found(tmp_path, form):
    path = write(tmp_path / "s.tar", sparse(form))
    first, after = members(path)
    assert first.name == f"{path}/sparse.png"
    assert "sparse" in first.origin.message
    assert data_of(after) == b"data"


@pytest.mark.parametrize("compress", [bytes, *COMPRESSED.values()])
def test_an_archive_cut_anywhere_gives_what_is_whole_then_a_failure(tmp_path, compress):
    files = {"0.png": b"a" * 600, "1.png": b"b" * 10, LONG: b"c" * 512}
    data = compress(tar(files))
    whole = list(files.values())
    counts = set()
    for length in random.Random(5).sample(range(len(data)), min(len(data), 60)):
        path = write(tmp_path / "s.tar", data[:length])
        found = list(members(path))
        if found and not isinstance(found[-1].origin, Failure):
            # All that is missing is some of the zeros behind the closing block.
            assert compress is bytes
            assert length >= 10 * 512
            found.append(None)
        *images, last = found
        assert [data_of(item) for item in images] == whole[: len(images)]
        assert last is None or last == Item(path, Failure("DatasetError", last.origin.message))
        counts.add(len(images))
    assert len(counts) > 1


def test_a_failure_says_where_the_archive_ends(tmp_path):
    data = tar({"0.png": b"a" * 600, "1.png": b"b" * 600})
    path = write(tmp_path / "s.tar", data[: 512 + 1024 + 512 + 599])
    *_, last = members(path)
    assert last.origin.message == "damaged archive: it ends inside 1.png"
    path = write(tmp_path / "s.tar", data[: 2 * (512 + 1024)])
    *_, last = members(path)
    assert last.origin.message == "damaged archive: it ends before its closing block"


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_a_damaged_header_is_not_the_end(tmp_path, compress):
    """`tarfile` stops there without a word."""
    data = bytearray(tar({"0.png": b"a", "1.png": b"b", "2.png": b"c"}))
    data[1024 + 20] ^= 1
    path = write(tmp_path / "s.tar", compress(bytes(data)))
    first, last = members(path)
    assert data_of(first) == b"a"
    assert last.origin.message == "damaged archive: bad checksum in the header at byte 1,024"


def test_a_wrong_checksum_at_the_end_of_a_compressed_archive_is_a_failure(tmp_path):
    data = bytearray(gzip.compress(tar({"0.png": b"a"})))
    data[-6] ^= 1
    _, last = members(write(tmp_path / "s.tgz", bytes(data)))
    assert "CRC" in last.origin.message


def test_bytes_that_are_no_archive_and_files_that_are_none_are_failures(tmp_path):
    noise = random.Random(9)
    for data in [b"", b"\x1f\x8b", b"BZh", *(noise.randbytes(2000) for _ in range(50))]:
        (item,) = members(write(tmp_path / "s.tar", data))
        assert item.origin.kind == "DatasetError"
    os.mkfifo(tmp_path / "fifo.tar")
    for name, cause in (("fifo.tar", "not a regular file"), ("lost.tar", "No such file")):
        (item,) = members(str(tmp_path / name))
        assert cause in item.origin.message


def test_an_archive_with_any_byte_changed_never_raises(tmp_path):
    noise = random.Random(4)
    data = tar(images(3))
    for compress in (bytes, gzip.compress):
        original = compress(data)
        for _ in range(150):
            damaged = bytearray(original)
            for _ in range(noise.randint(1, 3)):
                damaged[noise.randrange(len(damaged))] = noise.randrange(256)
            list(members(write(tmp_path / "s.tar", bytes(damaged))))


def test_an_image_too_large_for_a_compressed_archive_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    path = write(tmp_path / "s.tgz", gzip.compress(tar({"0.png": b"a" * 1001, "1.png": b"b"})))
    large, small = members(path)
    assert "1,001 bytes" in large.origin.message
    assert data_of(small) == b"b"


@pytest.mark.parametrize("size", [1 << 40, -1])
def test_an_extended_header_of_any_size_is_refused(tmp_path, size):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, size
    header = info.tobuf(tarfile.GNU_FORMAT)
    (item,) = members(write(tmp_path / "s.tar", header + bytes(2048)))
    assert f"states {size:,} bytes" in item.origin.message


def test_an_extended_header_of_a_million_records_takes_no_time_to_speak_of(tmp_path):
    """Quadratic work would take minutes; the limit of pytest's run ends it."""
    info = tarfile.TarInfo("x")
    records = b"6 a=b\n" * 170_000
    info.type, info.size = tarfile.XHDTYPE, len(records)
    header = info.tobuf(tarfile.GNU_FORMAT) + records.ljust(-(-len(records) // 512) * 512, b"\0")
    path = write(tmp_path / "s.tar", header + tar({"0.png": b"a"}))
    assert [data_of(item) for item in members(path)] == [b"a"]


@pytest.mark.parametrize("record", [b"0 path=a\n", b"7 path=a\n", b"99 path=a\n", b"9 size=-\n"])
def test_a_damaged_extended_header_is_a_failure(tmp_path, record):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    header = info.tobuf(tarfile.GNU_FORMAT) + record.ljust(512, b"\0")
    (item,) = members(write(tmp_path / "s.tar", header + tar({"0.png": b"a"})))
    assert item.origin.message.startswith("damaged archive: ")


@pytest.mark.parametrize("name", ["0.png", "0.txt"])
def test_a_size_below_zero_in_an_extended_header_ends_the_walk(tmp_path, name):
    """It led backwards, to the same member for ever."""
    archive = bytearray(tar({name: b"a"}))
    record = b"14 size=-1536\n"
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    header = info.tobuf(tarfile.GNU_FORMAT) + record.ljust(512, b"\0")

    (item,) = members(write(tmp_path / "s.tar", header + archive))

    assert "states -1,536 bytes" in item.origin.message


@pytest.mark.parametrize("where", ["member", "end"])
def test_an_archive_that_unpacks_to_far_too_much_is_given_up(tmp_path, monkeypatch, where):
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    zeros = bytes(3_000_000)
    data = tar({"0.png": b"a", "0.txt": zeros if where == "member" else b""})
    path = write(tmp_path / "s.tar.gz", gzip.compress(data + zeros))

    first, last = members(path)

    assert data_of(first) == b"a"
    assert "200 times its size" in last.origin.message


def test_memory_does_not_grow_with_the_members(tmp_path):
    header, rest = tar({"0.png": b""})[:512], bytes(1024)
    paths = [write(tmp_path / f"{count}.tar", header * count + rest) for count in (300, 2000)]
    peaks = []
    for path in paths:
        tracemalloc.start()
        try:
            count = sum(1 for _ in members(path))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert count == int(path.rsplit("/", 1)[1].removesuffix(".tar"))
    assert peaks[1] < peaks[0] + 20_000
