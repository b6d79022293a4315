"""What `ScoreBatch` must say of an image, from a Scorer that scores one at a time."""

import pytest
from PIL import Image

from lifeiqa.errors import ImageError
from lifeiqa.integrations.ray import COLUMNS

FIGURES = ("score", "std", "width", "height", "crops")


def row_alone(scorer, path):
    empty = dict.fromkeys(FIGURES)
    try:
        score = scorer.score(path)
    except ImageError as error:
        message = str(error).removeprefix(f"{path}: ")
        return {**empty, "error": "ImageError", "message": message}
    with Image.open(path) as image:
        width, height = image.size
    figures = (score.value, score.std, width, height, len(score.crops))
    return {**dict(zip(FIGURES, figures, strict=True)), "error": None, "message": None}


def assert_rows(rows, paths, expected):
    assert [row["path"] for row in rows] == list(paths)
    for row in rows:
        actual = {name: row[name] for name in COLUMNS}
        if row["error"] is None:  # a runtime may round otherwise in another batch
            for name in ("score", "std"):
                wanted = expected[row["path"]][name]
                assert actual[name] == pytest.approx(wanted, rel=1e-6, abs=1e-4)
                actual[name] = wanted
        assert actual == expected[row["path"]]
