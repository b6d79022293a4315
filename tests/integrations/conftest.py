import pytest
from PIL import Image

from helpers import tiny
from helpers.painting import painted
from helpers.ray_rows import row_alone
from lifeiqa import Scorer

SIZES = [(40, 36), (36, 90), (32, 32), (20, 31), (300, 33), (64, 64), (50, 51), (33, 32), (45, 99)]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Images of several sizes, a damaged one among them, under a path with spaces."""
    folder = tmp_path_factory.mktemp("some images")
    for number, size in enumerate(SIZES):
        Image.fromarray(painted(*size)).save(folder / f"number {number}.png")
    whole = (folder / "number 0.png").read_bytes()
    (folder / "damaged.png").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return str(tiny.write_model(tmp_path_factory.mktemp("a model") / "tiny.onnx"))


@pytest.fixture(scope="session")
def paths(folder):
    return sorted(map(str, folder.glob("number *.png")))


@pytest.fixture(scope="session")
def expected(model, folder):
    """What each path's row must say, from a Scorer that scores one image at a time."""
    with Scorer(model, runtime="onnxruntime", device="cpu", threads=1) as scorer:
        common = {"model": "tiny", "model_sha256": scorer.manifest.sha256}
        return {str(path): common | row_alone(scorer, path) for path in sorted(folder.iterdir())}
