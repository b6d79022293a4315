"""What a machine with a GPU and PyTorch, but without a network, lacks: files of limited size.

``python -m lifeiqa_benchmarks.gpu.bundle gpu-bundle --piece-mb 60``, or ``make gpu-bundle``. The
folder then holds a folder of pieces for each set, the sources of this project, and ``unpack.sh``.
A wheel is a zip file that is installed by unpacking it, so there is nothing to install there.
"""

from __future__ import annotations

import io
import lzma
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from lifeiqa import __version__
from lifeiqa.cli.shared import Folder
from lifeiqa_benchmarks.gpu.fatbin import keep_only

SETS = {
    "onnxruntime": (("onnxruntime-gpu",), ()),
    "tensorrt-rtx": (
        ("tensorrt-rtx-cu13-libs", "tensorrt-rtx-cu13-bindings"),
        ("tensorrt-rtx-cu13",),
    ),
}
"""Wheels that belong together, and pure Python packages that are published as sources only. What
else they need comes with PyTorch for CUDA 13."""
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64")
_LEFT_OUT = (
    # Python does not load these: they are for C and for TensorRT.
    *("capi/libonnxruntime.so.", "capi/libonnxruntime_providers_tensorrt.so"),
    "/RECORD",  # lists the files of the whole wheel
)
_SOURCES = ("lifeiqa", "export", "engines", "benchmarks", "tests", "Makefile", "pyproject.toml")
_WEIGHTS = "lifeiqa/weights/"
_PRESET = 9
_TAIL = 1 << 20
"""Bytes at the end of a library that hold the names of its sections."""
UNPACK = """\
#!/bin/sh
# unpack.sh TARGET SET...: unpacks sets of pieces, which lie beside this file, into TARGET/site, and
# the set `source` into TARGET/source. Put TARGET/site first on PYTHONPATH.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=$1
shift
for set in "$@"; do
    into=$target/site
    test "$set" != source || into=$target/source
    mkdir -p "$into"
    cat "$here/$set"/piece-* | xz --decompress --stdout | tar --extract --file - --directory "$into"
done
"""


@click.command()
@click.argument("folder", type=Folder)
@click.option("--piece-mb", type=click.FloatRange(min=1), default=60.0, show_default=True)
@click.option("--python", default="3.12", show_default=True, help="Version that is there.")
@click.option("--chip", type=int, help="Code of this chip alone, 90 for sm_90. [default: all]")
@click.option(
    "--weights/--no-weights",
    default=True,
    help="The bundled models with the sources. [default: yes]",
)
@click.option("--set", "sets", multiple=True, type=click.Choice([*SETS, "source"]))
def main(
    folder: Path,
    piece_mb: float,
    python: str,
    chip: int | None,
    weights: bool,
    sets: tuple[str, ...],
) -> None:
    """Download wheels and write them, with the sources, into FOLDER as pieces of at most MB."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "unpack.sh").write_text(UNPACK, encoding="utf-8")
    (folder / "unpack.sh").chmod(0o755)
    for name in sets or [*SETS, "source"]:
        if name == "source":
            members = sources(Path.cwd(), weights=weights)
        else:
            members = wheels(*SETS[name], python, chip)
        sizes = write_pieces(members, folder / name, int(piece_mb * 1e6))
        click.echo(f"{name}: {', '.join(f'{size / 1e6:.1f} MB' for size in sizes)}")


def wheels(
    binary: Sequence[str], pure: Sequence[str], python: str, chip: int | None
) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of every file of some wheels, for Linux on x86-64, without what they need."""
    pip = [sys.executable, "-m", "pip"]
    with tempfile.TemporaryDirectory() as place:
        options = ["--quiet", "--no-deps", "--only-binary=:all:", f"--python-version={python}"]
        options += ["--implementation=cp", f"--abi=cp{python.replace('.', '')}", "--abi=none"]
        options += [f"--platform={each}" for each in _PLATFORMS]
        subprocess.run([*pip, "download", *options, f"--dest={place}", *binary], check=True)
        if pure:
            options = ["--quiet", "--no-deps", f"--wheel-dir={place}"]
            subprocess.run([*pip, "wheel", *options, *pure], check=True)
        for wheel in sorted(Path(place).glob("*.whl")):
            with zipfile.ZipFile(wheel) as archive:
                for name in archive.namelist():
                    if name.endswith("/") or any(part in name for part in _LEFT_OUT):
                        continue
                    data = archive.read(name)
                    if chip is not None and b".nv_fatbin\0" in data[-_TAIL:]:
                        data = keep_only(data, chip)
                    yield name, data


def sources(root: Path, *, weights: bool) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of the tracked files that are needed there.

    The name and version of the project are added as metadata of an installed package.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *_SOURCES], cwd=root, check=True, capture_output=True
    ).stdout
    for name in sorted(filter(None, listed.decode().split("\0"))):
        if weights or not name.startswith(_WEIGHTS) or name.endswith(".py"):
            yield name, (root / name).read_bytes()
    about = f"Metadata-Version: 2.1\nName: lifeiqa\nVersion: {__version__}\n"
    yield f"lifeiqa-{__version__}.dist-info/METADATA", about.encode()


def write_pieces(members: Iterable[tuple[str, bytes]], folder: Path, limit: int) -> list[int]:
    """Write files as one compressed archive, cut into ``piece-00``, ``piece-01``, ...

    Args:
        members: path and bytes of each.
        folder: of the pieces; others that lie there are removed.
        limit: bytes of a piece.

    Returns:
        The sizes of the pieces.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("piece-*"):
        old.unlink()
    with tempfile.TemporaryFile() as whole:
        with (
            lzma.open(whole, "wb", preset=_PRESET) as packed,
            tarfile.open(fileobj=packed, mode="w|") as archive,
        ):
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size, info.mode = len(data), 0o755 if ".so" in name else 0o644
                archive.addfile(info, io.BytesIO(data))
        size = whole.tell()
        whole.seek(0)
        count = max(1, -(-size // limit))
        even = -(-size // count)
        sizes = []
        for number in range(count):
            piece = whole.read(even)
            (folder / f"piece-{number:02}").write_bytes(piece)
            sizes.append(len(piece))
    return sizes


if __name__ == "__main__":
    main()
