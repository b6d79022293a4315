import os
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from helpers import tiny
from lifeiqa.errors import ArtifactError, ConfigError, ImageError
from lifeiqa.scorer import Score, Scorer

SIZE = tiny.SIZE


class GreyMeter:
    """A session whose score is the mean of a crop; it remembers the size of every run."""

    runtime = "abacus"

    def __init__(self, **changes):
        self.manifest = tiny.manifest(**changes)
        self.sizes = []
        self.closed = False

    def run(self, crops):
        self.sizes.append(len(crops))
        return crops.mean(axis=(1, 2, 3), dtype=np.float32)

    def close(self):
        self.closed = True


def image_of_quarters(*greys):
    """Four plain squares of the crop's size, row by row."""
    tiles = [np.full((SIZE, SIZE, 3), grey, dtype=np.uint8) for grey in greys]
    return np.concatenate([np.concatenate(tiles[:2], axis=1), np.concatenate(tiles[2:], axis=1)])


def test_a_score_is_the_mean_over_the_crops_of_the_plan():
    score = Scorer(GreyMeter()).score(image_of_quarters(10, 20, 30, 80))

    assert score.crops == (35.0, 10.0, 20.0, 30.0, 80.0)
    assert score.value == 35.0
    assert score.std == pytest.approx(np.std([35, 10, 20, 30, 80]))


def test_one_crop_has_no_spread():
    assert Scorer(GreyMeter(), crops="center").score(image_of_quarters(0, 0, 100, 100)) == Score(
        50.0, 0.0, (50.0,)
    )


def test_figures_of_a_score_are_plain_floats():
    score = Scorer(GreyMeter()).score(image_of_quarters(1, 2, 3, 4))

    assert {type(figure) for figure in (score.value, score.std, *score.crops)} == {float}


@pytest.mark.parametrize("gain", ["nan", "inf", "-inf"])
def test_what_is_no_number_is_no_score(tmp_path, gain):
    model = tiny.write_model(tmp_path / "tiny.onnx", gain=float(gain))

    with (
        Scorer(model, runtime="onnxruntime", device="cpu", threads=1) as scorer,
        pytest.raises(ArtifactError, match=f"the model returned {gain}"),
    ):
        scorer.score(image_of_quarters(1, 2, 3, 4))


def test_a_crop_plan_takes_the_place_of_the_models_own():
    session = GreyMeter()
    scorer = Scorer(session, crops="grid:2")

    assert scorer.score(image_of_quarters(10, 20, 30, 80)).crops == (10.0, 20.0, 30.0, 80.0)
    assert scorer.preprocessing.crops == "grid:2"
    assert scorer.manifest.preprocessing.crops == "five"


@pytest.mark.parametrize(("length", "crops"), [(1, 1), (3, 3), (16, 16), (17, 16)])
def test_the_plan_cover_sees_the_whole_of_a_long_image(length, crops):
    greys = 10 * np.arange(length, dtype=np.uint8)
    image = np.broadcast_to(np.repeat(greys, SIZE)[:, None], (SIZE, length * SIZE, 3))

    score = Scorer(GreyMeter(), crops="cover").score(image)

    assert len(score.crops) == crops
    assert (score.crops[0], score.crops[-1]) == (greys[0], greys[-1])
    assert score.gaps == (length > 16)
    if not score.gaps:
        assert score.crops == tuple(greys.tolist())


def test_a_crop_plan_that_cannot_be_read_is_refused_at_once():
    with pytest.raises(ConfigError, match="crop plan 'six'"):
        Scorer(GreyMeter(), crops="six")


def test_the_working_scale_of_the_model_is_used():
    feed = tiny.manifest().preprocessing
    scaled = GreyMeter(preprocessing=type(feed)(mean=feed.mean, std=feed.std, short_side=SIZE))

    corners = Scorer(scaled).score(image_of_quarters(0, 0, 100, 100)).crops[1:]

    assert corners == pytest.approx([50] * 4, abs=1)  # the whole image fits into every crop


def test_many_crops_are_cut_into_runs_of_32():
    session = GreyMeter()

    score = Scorer(session, crops="grid:9").score(image_of_quarters(10, 20, 30, 80))

    assert session.sizes == [32, 32, 17]
    assert len(score.crops) == 81
    assert score.crops[0] == 10.0
    assert score.crops[-1] == 80.0


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (32, [32]), (33, [32, 1])])
def test_crops_that_were_cut_already_keep_their_order(count, sizes):
    session = GreyMeter()

    scores = Scorer(session).score_crops(tiny.crops(*range(count)))

    assert scores.tolist() == list(range(count))
    assert session.sizes == sizes


def test_a_path_its_bytes_an_image_and_an_array_get_one_score(tmp_path):
    path = tmp_path / "quarters.png"
    Image.fromarray(image_of_quarters(10, 20, 30, 80)).save(path)
    with Image.open(path) as image:
        sources = [path, os.fspath(path), path.read_bytes(), image, np.asarray(image)]
        scores = [Scorer(GreyMeter()).score(source) for source in sources]

    assert scores == [scores[0]] * len(sources)
    assert scores[0].value == 35.0


def test_an_image_that_is_not_there_is_an_error_with_its_name(tmp_path):
    with pytest.raises(ImageError, match=r"lost\.png: No such file"):
        Scorer(GreyMeter()).score(tmp_path / "lost.png")


def test_a_file_that_is_no_image_is_an_error_with_its_name(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("dear diary")

    with pytest.raises(ImageError, match=r"notes\.png: not an image"):
        Scorer(GreyMeter()).score(path)


def test_an_image_too_thin_to_be_cropped_is_an_error_with_its_name(tmp_path):
    path = tmp_path / "thin.png"
    Image.new("L", (200_000, 1)).save(path)

    with pytest.raises(ImageError, match=r"thin\.png: an image of 200000x1 is too thin"):
        Scorer(GreyMeter()).score(path)


def test_an_image_beyond_the_limit_is_an_error(tmp_path):
    path = tiny.write_image(tmp_path / "large.png", size=(50, 50))

    assert Scorer(GreyMeter(), max_pixels=2500).score(path).value == 128
    with pytest.raises(ImageError, match=r"large\.png: 50x50 has more than 2,499 pixels"):
        Scorer(GreyMeter(), max_pixels=2499).score(path)


def test_pixels_of_another_type_are_an_error():
    with pytest.raises(ImageError, match="float64"):
        Scorer(GreyMeter()).score(np.zeros((40, 40, 3)))


def test_leaving_the_scorer_closes_its_session():
    session = GreyMeter()

    with Scorer(session) as scorer:
        assert scorer.session is session
        assert not session.closed

    assert session.closed


def test_a_scorer_opens_a_model_file(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")

    for model in (path, os.fspath(path)):
        with closing(Scorer(model, runtime="onnxruntime", device="cpu", threads=1)) as scorer:
            assert scorer.manifest.name == "tiny"
            assert scorer.score(image_of_quarters(10, 20, 30, 80)).value == pytest.approx(35)


def test_an_installation_without_the_bundled_model_says_so(monkeypatch):
    monkeypatch.setattr("lifeiqa.scorer.scorer.bundled", lambda: None)

    with pytest.raises(ArtifactError, match="fast is missing from this installation"):
        Scorer()
