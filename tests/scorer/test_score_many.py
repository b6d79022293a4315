"""Many images from Python: their order, their errors, and what is left when it ends early."""

import itertools
import os
import threading
import weakref

import numpy as np
import pytest
from PIL import Image

import lifeiqa
from helpers import tiny
from helpers.processes import decoders
from lifeiqa.errors import ArtifactError, ConfigError, ImageError, WorkerError
from lifeiqa.preprocess import process_pool
from lifeiqa.scorer import Score, Scorer, score_many

SIZE = tiny.SIZE


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture(scope="module")
def scorer(model):
    with Scorer(model, runtime="onnxruntime", threads=1) as scorer:
        yield scorer


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return [tiny.write_image(folder / f"{grey}.png", grey) for grey in range(12)]


def noise(seed, size=(50, 60)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noisy")
    found = [folder / f"{seed}.png" for seed in range(5)]
    for seed, path in enumerate(found):
        Image.fromarray(noise(seed)).save(path)
    return found


def values(scores):
    return [score.value for score in scores]


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("batch", [None, 1, 7])
def test_scores_come_in_the_order_of_the_images(scorer, paths, workers, batch):
    assert values(scorer.score_many(paths, workers=workers, batch=batch)) == list(range(12))


@pytest.mark.parametrize("workers", [0, 2])
def test_every_kind_of_image_gets_the_score_of_its_pixels(scorer, noisy, workers):
    with Image.open(noisy[2]) as opened:
        kinds = [
            *(noisy[0], os.fspath(noisy[1]), opened, noise(3), noisy[4].read_bytes()),
            np.array([os.fspath(noisy[0])])[0],  # np.str_, as a column of an array has it
        ]
        found = list(scorer.score_many(kinds, workers=workers, batch=None))

    assert found == [scorer.score(path) for path in (*noisy, noisy[0])]


def test_an_image_by_itself_has_the_bits_of_score(noisy):
    """Of the bundled model, whose sums depend on the batch in their last bits."""
    with Scorer(runtime="onnxruntime", threads=1, crops="five") as bundled:
        found = list(bundled.score_many(noisy, batch=None, workers=0))

        assert found == [bundled.score(path) for path in noisy]
        batched = bundled.score_many(noisy, batch=8, workers=0)
        assert values(batched) == pytest.approx(values(found), abs=1e-6)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_is_raised_after_the_scores_before_it(scorer, paths, tmp_path, workers):
    (tmp_path / "bad.png").write_text("dear diary")
    scores = scorer.score_many([*paths[:3], tmp_path / "bad.png", paths[4]], workers=workers)

    assert [next(scores).value for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ImageError, match=r"bad\.png: not an image"):
        next(scores)
    assert list(scores) == []
    assert not decoders()


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_are_returned_in_place_of_scores_when_asked(scorer, paths, tmp_path, workers):
    lost, floats = tmp_path / "lost.png", np.zeros((SIZE, SIZE, 3))
    images = [paths[3], lost, floats, None, float("nan"), b"dear diary", paths[5]]

    found = list(scorer.score_many(images, workers=workers, on_error="return"))

    assert [type(each) for each in found] == [Score, *[ImageError] * 5, Score]
    assert [found[0].value, found[-1].value] == [3, 5]
    assert str(found[1]) == f"{lost}: No such file or directory"
    assert "float64" in str(found[2])
    assert "NoneType" in str(found[3])
    assert "float" in str(found[4])
    assert str(found[5]).startswith("<10 bytes>: not an image")


@pytest.mark.parametrize("on_error", ["raise", "return"])
def test_a_model_that_returns_nan_is_an_error_of_its_image(tmp_path, paths, on_error):
    model = tiny.write_model(tmp_path / "nan.onnx", gain=float("nan"))
    scores = score_many(paths[:1], model=model, runtime="onnxruntime", workers=0, on_error=on_error)

    if on_error == "raise":
        with pytest.raises(ArtifactError, match="the model returned nan"):
            next(scores)
    else:
        assert [type(each) for each in scores] == [ArtifactError]


def test_an_image_that_takes_too_long_is_an_error_of_its_own(scorer, paths, tmp_path):
    slow = tiny.write_image(tmp_path / "slow.png", 99, (5000, 5000))

    found = list(
        scorer.score_many([paths[1], slow, paths[2]], workers=1, timeout=0.05, on_error="return")
    )

    assert [type(each) for each in found] == [Score, WorkerError, Score]
    assert str(found[1]) == f"{slow}: decoding it took more than 0.05 s of processor time"


@pytest.mark.parametrize("workers", [0, 2])
def test_little_is_read_ahead_of_what_was_taken(scorer, paths, workers):
    asked = itertools.count()
    latest = 0

    def endless():
        nonlocal latest
        for latest in asked:
            yield paths[latest % 12]

    scores = scorer.score_many(endless(), workers=workers, batch=8)
    for taken in range(60):
        assert next(scores).value == taken % 12
        assert latest - taken <= 4 * workers + 2 * 8
    scores.close()

    assert not decoders()


@pytest.mark.parametrize("workers", [0, 1])
def test_endless_errors_do_not_hold_a_score_back(scorer, paths, workers):
    images = itertools.chain(paths[3:4], itertools.repeat("lost.png"))

    scores = scorer.score_many(images, workers=workers, on_error="return")

    assert next(scores).value == 3
    assert isinstance(next(scores), ImageError)
    scores.close()


def test_memory_holds_few_images_at_once(scorer):
    alive = []
    most = 0

    def images():
        nonlocal most
        for seed in range(200):
            image = noise(seed)
            alive.append(weakref.ref(image))
            yield image
            most = max(most, sum(each() is not None for each in alive))

    assert len(list(scorer.score_many(images(), workers=1, batch=4))) == 200
    assert most < 20


def test_an_array_may_be_used_again_for_the_next_image(scorer):
    """As a reader of frames does."""

    def frames():
        frame = np.empty((SIZE, SIZE, 3), np.uint8)
        for grey in range(30):
            frame[:] = grey
            yield frame

    for workers in (0, 1):
        assert values(scorer.score_many(frames(), workers=workers)) == list(range(30))


@pytest.mark.parametrize("way", ["closed", "forgotten", "failed", "used up"])
def test_no_process_and_no_thread_is_left(scorer, paths, way):
    before = threading.active_count()
    scores = scorer.score_many(itertools.cycle(paths) if way != "used up" else paths, workers=2)
    next(scores)
    assert decoders()

    if way == "closed":
        scores.close()
    elif way == "forgotten":
        del scores
    elif way == "used up":
        list(scores)
    else:
        with pytest.raises(ZeroDivisionError):
            scores.throw(ZeroDivisionError)

    assert not decoders()
    assert threading.active_count() == before


def test_processes_end_also_while_the_error_is_still_held(scorer, paths, tmp_path):
    """A traceback keeps the frames that it went through alive, as a notebook does."""
    held = None
    try:
        list(scorer.score_many([*paths, tmp_path / "lost.png", *paths], workers=2))
    except ImageError as error:
        held = error

    assert held is not None
    assert not decoders()


def test_an_error_of_the_iterable_comes_after_the_scores_before_it(scorer, paths):
    def broken():
        yield from paths[:5]
        raise ZeroDivisionError

    scores = scorer.score_many(broken(), workers=1, batch=4)

    assert [next(scores).value for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ZeroDivisionError):
        next(scores)


def test_nothing_starts_before_the_first_score_is_asked_for(scorer, paths):
    asked = []
    scores = scorer.score_many(iter(lambda: asked.append(1) or paths[0], None), workers=2)

    assert asked == []
    assert not decoders()
    scores.close()


def test_no_image_has_no_score(scorer):
    assert list(scorer.score_many([], workers=2)) == []


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"batch": 0}, "batch is 0: at least 1 is expected, or None"),
        ({"workers": -1}, "workers is -1: at least 0 is expected"),
        ({"timeout": 0}, "timeout is 0 s: more than 0"),
        ({"on_error": "ignore"}, "on_error is 'ignore'"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_at_the_call(scorer, paths, setting, message):
    with pytest.raises(ConfigError, match=message):
        scorer.score_many(paths, **setting)


def test_the_function_opens_the_model_and_closes_it(model, paths, monkeypatch):
    closed = []
    monkeypatch.setattr(Scorer, "close", lambda self: closed.append(self))

    scores = lifeiqa.score_many(paths, model=model, runtime="onnxruntime", threads=1, workers=0)
    assert next(scores).value == 0
    assert closed == []
    scores.close()

    assert len(closed) == 1


def test_the_function_takes_the_settings_of_a_scorer(model, noisy):
    settings = {"model": model, "runtime": "onnxruntime", "threads": 1, "workers": 0}

    (score,) = lifeiqa.score_many(noisy[:1], crops="grid:3", **settings)

    assert len(score.crops) == 9
    with pytest.raises(ImageError, match="60x50 has more than 100 pixels"):
        next(lifeiqa.score_many(noisy, max_pixels=100, **settings))
    with pytest.raises(ArtifactError, match="no such model file"):
        next(lifeiqa.score_many(noisy, model="lost.onnx"))


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_than_on_linux_images_are_decoded_in_this_process(
    scorer, paths, monkeypatch, system
):
    monkeypatch.setattr(process_pool.sys, "platform", system)

    assert values(scorer.score_many(paths)) == list(range(12))
    with pytest.raises(ConfigError) as caught:
        scorer.score_many(paths, workers=2)
    assert str(caught.value) == (
        f"this system is {system}, and decoding in separate processes, as `lifeiqa score` does, "
        f"needs Linux: use lifeiqa.Scorer, or lifeiqa.score_many with workers=0"
    )
