"""Weights in other files: what an ONNX file may point to, and what is refused unopened."""

import os

import numpy as np
import onnxruntime
import pytest

from helpers import strangers, tiny
from helpers.runtimes import ONNX_ON_CPU
from helpers.strangers import refusal, written
from lifeiqa.artifacts.onnx_inspect import read_onnx
from lifeiqa.errors import ArtifactError
from lifeiqa.runtimes import open_session
from lifeiqa.runtimes.openvino import session as openvino


@pytest.fixture
def folder(tmp_path):
    """A model's folder with a weight in it, and one beside it."""
    (tmp_path / "model" / "sub").mkdir(parents=True)
    for name in ("secret.bin", "model/in.bin", "model/sub/in.bin"):
        (tmp_path / name).write_bytes(strangers.GAIN)
    return tmp_path / "model"


def outside(folder, location, **entries):
    return written(folder, strangers.outside(tiny.model(), location, **entries))


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin",
        "sub/../../secret.bin",
        "sub/../in.bin",
        "..",
        "",
        "/etc/passwd",
        "//server/share/x",
        "C:/secret.bin",
        "C:secret.bin",
        r"..\secret.bin",
        r"sub\in.bin",
        r"\\server\share\x",
        "in.bin:stream",
        "sub//in.bin",
        "in.bin\0",
        "in.bin\n",
        "*/_ORT_MEM_ADDR_/*",
    ],
)
def test_a_path_that_may_leave_the_folder_on_any_system_is_refused(folder, location):
    path = outside(folder, location, length=4)

    message = refusal(path)

    assert (
        f"tensor 'gain': its external data is {location!r}: a relative path within the" in message
    )


def test_the_mark_of_memory_is_refused_even_where_a_file_has_its_name(folder):
    (folder / "*" / "_ORT_MEM_ADDR_").mkdir(parents=True)
    (folder / "*" / "_ORT_MEM_ADDR_" / "*").write_bytes(strangers.GAIN)

    assert "a relative path within" in refusal(outside(folder, "*/_ORT_MEM_ADDR_/*", length=4))


@pytest.mark.parametrize("link", ["file", "folder", "chain"])
def test_a_link_out_of_the_folder_is_refused_with_where_it_leads(folder, link):
    secret = (folder.parent / "secret.bin").resolve()
    (folder / "link.bin").symlink_to("../secret.bin")
    (folder / "links").symlink_to("..")
    (folder / "again.bin").symlink_to("link.bin")
    name = {"file": "link.bin", "folder": "links/secret.bin", "chain": "again.bin"}[link]

    assert f"is a link out of the model's folder, to {secret}" in refusal(outside(folder, name))


def test_a_link_that_leads_to_itself_is_refused(folder):
    (folder / "loop.bin").symlink_to("loop.bin")

    assert "external data 'loop.bin' cannot be read" in refusal(outside(folder, "loop.bin"))


def test_what_is_no_regular_file_is_refused(folder):
    os.mkfifo(folder / "pipe.bin")

    for name in ("sub", "pipe.bin"):
        assert f"{name!r} is not a regular file" in refusal(outside(folder, name))


@pytest.mark.parametrize("location", ["in.bin", "sub/in.bin", "link.bin"])
@pytest.mark.parametrize("entries", [{}, {"offset": 0}, {"offset": 0, "length": 4}])
def test_files_within_the_folder_are_named(folder, location, entries, monkeypatch):
    (folder / "link.bin").symlink_to("sub/in.bin")
    path = outside(folder, location, **entries)

    assert read_onnx(path).external == (location,)
    monkeypatch.chdir(folder)
    assert read_onnx(path.relative_to(folder)).external == (location,)


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({"offset": 1}, "it takes 4 bytes at offset 1 of 'in.bin', which has 4 bytes"),
        ({"offset": 2**62}, "it takes 4 bytes at offset 4611686018427387904"),
        ({"length": 3}, "needs 4 bytes, and its length in 'in.bin' is 3"),
        ({"length": 0}, "is 0"),
        ({"length": 8}, "is 8"),
        ({"offset": -4}, "its offset is '-4': a whole number is expected"),
        ({"offset": "4e0"}, "its offset is '4e0'"),
        ({"length": " 4"}, "its length is ' 4'"),
        ({"length": "٤"}, "its length is '٤'"),
        ({"length": "9" * 20}, "its length is '9999"),
    ],
)
def test_what_does_not_lie_in_its_file_is_refused(folder, entries, complaint):
    assert complaint in refusal(outside(folder, "in.bin", **entries))


@pytest.mark.parametrize("runtime", ONNX_ON_CPU)
@pytest.mark.parametrize("verify", [True, False])
def test_no_runtime_sees_a_file_that_points_outside(folder, runtime, verify, monkeypatch):
    path = outside(folder, "../secret.bin", length=4)
    tiny.write_sidecar(path)
    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    monkeypatch.setattr(openvino, "openvino_from_onnx", None)

    with pytest.raises(ArtifactError, match=r"external data is '\.\./secret\.bin'"):
        open_session(path, runtime=runtime, verify=verify)


def test_the_weight_of_a_file_within_the_folder_is_the_one_that_runs(folder):
    path = outside(folder, "sub/in.bin", offset=0, length=4)
    tiny.write_sidecar(path)

    for runtime in ONNX_ON_CPU:
        with open_session(path, runtime=runtime, verify=False) as session:
            np.testing.assert_array_equal(session.run(tiny.crops(1, 2)), [7, 14])
            assert session.manifest.title == "tiny (not verified)"
