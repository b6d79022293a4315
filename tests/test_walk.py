"""The walk of an image: which packages it enters on its way from a path to a score.

The calls are recorded as they happen. Modules that every package uses do not count.
"""

import sys
from pathlib import Path

import pytest

import lifeiqa
from helpers import tiny
from lifeiqa.scorer import Scorer

PACKAGE = Path(lifeiqa.__file__).parent
EVERYWHERE = {"config", "errors", "files", "text"}


def package_of(frame):
    """The package of lifeiqa that a frame, or the nearest of its callers in lifeiqa, is in."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(PACKAGE):
            return path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        frame = frame.f_back
    return None


def calls_during(action):
    """Pairs of packages of which the first calls the second."""
    calls = set()

    def record(frame, event, _):
        if event == "call" and Path(frame.f_code.co_filename).is_relative_to(PACKAGE):
            calls.add((package_of(frame.f_back), package_of(frame)))

    sys.setprofile(record)
    try:
        action()
    finally:
        sys.setprofile(None)
    return {(one, other) for one, other in calls if one != other and other not in EVERYWHERE}


@pytest.mark.parametrize("way", ["score", "here", "in processes"])
def test_an_image_enters_three_packages_and_none_twice(tmp_path, way):
    model = tiny.write_model(tmp_path / "tiny.onnx")
    image = tiny.write_image(tmp_path / "grey.png", 7)
    with Scorer(model, runtime="onnxruntime", threads=1) as scorer:
        actions = {
            "score": lambda: scorer.score(image),
            "here": lambda: list(scorer.score_many([image], workers=0)),
            "in processes": lambda: list(scorer.score_many([image], workers=1)),
        }

        calls = calls_during(actions[way])

    assert calls == {(None, "scorer"), ("scorer", "preprocess"), ("scorer", "runtimes")}
