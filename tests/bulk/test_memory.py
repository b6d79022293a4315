"""Memory is bounded, whatever the number of images and their size."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers import tiny
from lifeiqa.weights import DEFAULT
from lifeiqa_benchmarks.memory import Memory

LIFEIQA = Path(sys.executable).with_name("lifeiqa")


def peak_of(*arguments):
    """The most that a run and its processes took together, in bytes."""
    command = [
        LIFEIQA,
        "score",
        "--runtime",
        "onnxruntime",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--workers",
        "1",
    ]
    with (
        subprocess.Popen(
            [*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True
        ) as process,
        Memory(process.pid, interval=0.005) as memory,
    ):
        written = process.stdout.read()
    assert process.returncode == 0, written
    return memory.peak


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_jpeg_of_100_megapixels_is_scored_in_less_than_a_gigabyte(tmp_path, mode):
    generator = np.random.default_rng(3)
    noise = generator.integers(0, 256, (1042, 1500, 3), dtype=np.uint8)
    path = tmp_path / "large.jpg"
    Image.fromarray(noise).resize((12000, 8336)).convert(mode).save(path, quality=80)

    assert peak_of("--model", DEFAULT, path) < 1e9


def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    model = tiny.write_model(tmp_path / "tiny.onnx")
    for number in range(300):
        tiny.write_image(tmp_path / "images" / f"{number}.png", number % 256)
    folder = tmp_path / "images"

    few, many = (peak_of("--model", model, *[folder] * times) for times in (1, 10))

    assert many < few + 10e6
