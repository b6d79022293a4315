"""The example client against a server that speaks Triton's protocol, see `fake_triton`."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import tiny
from helpers.fake_triton import FakeTriton
from lifeiqa import Scorer
from lifeiqa.config import Preprocessing
from lifeiqa.weights import bundled
from lifeiqa_export.photographs import photographs
from lifeiqa_export.triton import triton_from_model

EXAMPLE = Path(__file__).parents[2] / "examples" / "triton_client.py"


@pytest.fixture(scope="module")
def client():
    spec = importlib.util.spec_from_file_location("triton_client", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def noise(folder, count):
    """Images whose crops all differ."""
    random = np.random.default_rng(0)
    for number in range(count):
        samples = random.integers(0, 60 + 16 * number, (50, 40 + number, 3), dtype=np.uint8)
        Image.fromarray(samples).save(folder / f"{number}.png")
    return [str(folder / f"{number}.png") for number in range(count)]


def expected(model, images):
    """The lines that the client should print, by the library itself."""
    with Scorer(model, runtime="onnxruntime", device="cpu") as scorer:
        scores = [scorer.score(image) for image in images]
    lines = zip(scores, images, strict=True)
    return "".join(f"{score.value:.6f} {score.std:.6f} {name}\n" for score, name in lines)


def plan(crops):
    return Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), crops=crops)


@pytest.mark.parametrize(
    ("crops", "batch", "requests"),
    [
        ("five", None, [5]),
        ("grid:6", None, [32, 4]),  # no request is larger than the server's largest batch
        ("five", 4, [4, 4]),  # the second is filled up
        ("center", 1, [1]),
    ],
)
def test_scores_are_those_of_the_library(client, tmp_path, capsys, crops, batch, requests):
    model = tiny.write_model(tmp_path / "tiny.onnx", preprocessing=plan(crops), batch=batch)
    triton_from_model(model, tmp_path / "models")
    (image,) = noise(tmp_path, 1)

    with FakeTriton(tmp_path / "models") as server:
        assert client.main(["tiny_onnx", image, "--server", server.address]) == 0

    assert capsys.readouterr().out == expected(model, [image])
    assert [len(sent) for sent in server.received] == requests
    with Scorer(model, runtime="onnxruntime", device="cpu") as scorer:
        wanted = scorer.crops(image)
    np.testing.assert_array_equal(np.concatenate(server.received)[: len(wanted)], wanted)


def test_images_come_in_their_order_and_a_bad_one_stops_no_other(client, tmp_path, capsys):
    model = tiny.write_model(tmp_path / "tiny.onnx")
    triton_from_model(model, tmp_path / "models")
    images = noise(tmp_path, 12)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")

    with FakeTriton(tmp_path / "models") as server:
        arguments = ["tiny_onnx", *images[:5], str(bad), *images[5:]]
        assert client.main([*arguments, "--server", server.address]) == 1

    printed = capsys.readouterr()
    assert printed.out == expected(model, images)
    assert printed.err.startswith(f"0..255, higher is better\n{bad}: ")


def test_a_model_that_is_not_served_is_named_in_one_line(client, tmp_path, capsys):
    triton_from_model(tiny.write_model(tmp_path / "tiny.onnx"), tmp_path / "models")

    with FakeTriton(tmp_path / "models") as server:
        assert client.main(["other_onnx", "x.png", "--server", server.address]) == 2

    assert capsys.readouterr() == ("", f"{server.address}: unknown model 'other_onnx'\n")


def test_a_model_of_others_is_named_in_one_line(client, tmp_path, capsys):
    folder = triton_from_model(tiny.write_model(tmp_path / "tiny.onnx"), tmp_path / "models").path
    config = folder.parent / "config.pbtxt"
    lines = config.read_text().splitlines()
    config.write_text("\n".join(line for line in lines if "lifeiqa_labels" not in line))

    with FakeTriton(tmp_path / "models") as server:
        assert client.main(["tiny_onnx", "x.png", "--server", server.address]) == 2

    assert "tiny_onnx has no lifeiqa parameters" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_named_in_one_line(client, capsys):
    assert client.main(["tiny_onnx", "x.png", "--server", "127.0.0.1:9"]) == 2

    assert capsys.readouterr().err.startswith("127.0.0.1:9: ")


def test_the_bundled_model_scores_photographs_in_a_process_of_its_own(tmp_path):
    model = bundled()
    triton_from_model(model, tmp_path / "models")
    images = list(map(str, photographs()[:2]))

    with FakeTriton(tmp_path / "models") as server:
        command = [sys.executable, EXAMPLE, "fast_onnx", *images]
        done = subprocess.run(
            [*command, "--server", server.address], capture_output=True, text=True, check=False
        )

    assert done.returncode == 0, done.stderr
    assert done.stderr == "0..1, higher is better\n"
    assert done.stdout == expected(model, images)
