"""Evaluation of a model whose scores are known: the grey of an image."""

import csv
import json
import math

import numpy as np
import pytest

from helpers import tiny
from lifeiqa.config import Labels
from lifeiqa.data.table import Table
from lifeiqa.errors import DatasetError, ImageError
from lifeiqa.evaluation.evaluate import evaluate
from lifeiqa.evaluation.result import write_predictions
from lifeiqa.metrics import agreement, krcc, plcc, srocc
from lifeiqa.scorer import Scorer

GREYS = (10, 200, 60, 90, 30, 150, 120, 240)
HUMAN = (1.0, 6.0, 3.0, 2.0, 2.5, 4.0, 5.0, 5.5)
HIGHER, LOWER = (
    Labels(dataset="people", low=0, high=10, direction=direction)
    for direction in ("higher", "lower")
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return tuple(tiny.write_image(folder / f"{grey}.png", grey) for grey in GREYS)


@pytest.fixture
def scorer(tmp_path):
    with Scorer(
        tiny.write_model(tmp_path / "tiny.onnx"), runtime="onnxruntime", device="cpu", threads=1
    ) as scorer:
        yield scorer


@pytest.fixture
def table(images):
    return Table(name="greys", paths=images, scores=HUMAN, labels=HIGHER)


def with_(table, **changes):
    return Table(**{**vars(table), **changes})


def test_the_figures_are_those_of_the_scores(scorer, table):
    found = evaluate(scorer, table, resamples=0)

    assert found.predicted == pytest.approx(GREYS)
    assert found.agreement == agreement(found.predicted, HUMAN)
    assert found.agreement.srocc == pytest.approx(srocc(GREYS, HUMAN))
    assert found.intervals == {}
    assert found.per_distortion == {}


def test_batches_and_processes_change_no_figure_beyond_rounding(table):
    """Of the bundled model, whose sums depend on the batch in their last bits."""
    with Scorer(runtime="onnxruntime", device="cpu", threads=1, crops="five") as bundled:
        plain, alone, batched = (
            evaluate(bundled, table, resamples=0, **settings).predicted
            for settings in ({}, {"workers": 2}, {"workers": 2, "batch": 8})
        )

        assert plain == alone == tuple(bundled.score(path).value for path in table.paths)
    assert batched == pytest.approx(plain, abs=1e-6)


def test_where_lower_is_better_a_good_model_still_correlates_positively(scorer, table):
    turned = with_(table, scores=tuple(10 - score for score in HUMAN), labels=LOWER)

    found, upright = (evaluate(scorer, rows, resamples=50) for rows in (turned, table))

    assert found.agreement.srocc == pytest.approx(upright.agreement.srocc)
    assert found.agreement.plcc == pytest.approx(upright.agreement.plcc)
    assert found.agreement.rmse == pytest.approx(upright.agreement.rmse, rel=1e-4)
    assert found.intervals["srocc"] == pytest.approx(upright.intervals["srocc"], nan_ok=True)
    assert found.predicted == upright.predicted  # the model's own units, whatever the table's
    assert (found.direction, found.manifest.labels.direction) == ("lower", "higher")
    assert "lower is better for greys, higher for the model: its scores are negated" in str(found)


def test_a_table_without_labels_has_the_direction_of_the_model_and_the_report_says_so(
    tmp_path, table
):
    labels = Labels(dataset="greys", low=0, high=255, direction="lower", normalised=False)
    model = tiny.write_model(tmp_path / "dark.onnx", labels=labels)
    with Scorer(model, runtime="onnxruntime", device="cpu", threads=1) as scorer:
        found = evaluate(scorer, with_(table, labels=None), resamples=0)

    assert found.direction == "lower"
    assert found.agreement.srocc == pytest.approx(srocc(GREYS, HUMAN))
    assert "lower is better, as for the model: greys declares none" in str(found)
    assert not found.to_dict()["direction_declared"]


def test_each_kind_of_distortion_has_its_own_agreement(scorer, table):
    kinds = ("blur", "noise", "blur", "noise", "blur", "noise", "", "odd")

    found = evaluate(scorer, with_(table, distortions=kinds), resamples=100).per_distortion

    assert list(found) == ["blur", "noise", "odd"]  # in the order of the table; "" is none
    for kind in ("blur", "noise"):
        rows = [row for row, other in enumerate(kinds) if other == kind]
        greys, human = ([side[row] for row in rows] for side in (GREYS, HUMAN))
        assert found[kind].n == 3
        assert found[kind].srocc == pytest.approx(srocc(greys, human))
        assert found[kind].plcc == pytest.approx(plcc(greys, human))
    assert found["odd"].n == 1
    assert math.isnan(found["odd"].srocc)


def test_intervals_hold_the_figure_and_repeat(scorer, images):
    generator = np.random.default_rng(0)
    noisy = [generator.normal(grey, 40) for grey in GREYS * 6]
    table = Table(name="greys", paths=images * 6, scores=tuple(noisy))

    first, again = (evaluate(scorer, table, resamples=100, seed=4) for _ in range(2))

    assert first.intervals == again.intervals
    assert set(first.intervals) == {"srocc", "krcc", "plcc", "plcc_logistic4"}
    for name, figure in (("srocc", srocc), ("krcc", krcc), ("plcc", plcc)):
        low, high = first.intervals[name]
        assert low < figure(first.predicted, noisy) < high
    assert first.intervals != evaluate(scorer, table, resamples=100, seed=5).intervals


def test_images_of_one_reference_widen_the_interval(scorer, images):
    table = Table(name="greys", paths=images * 9, scores=HUMAN * 9)
    references = tuple(path.stem for path in table.paths)

    apart, together = (
        evaluate(scorer, rows, resamples=200)
        for rows in (table, with_(table, references=references))
    )

    widths = [high - low for low, high in (e.intervals["plcc"] for e in (apart, together))]
    assert widths[1] > 2 * widths[0]
    assert "resamples of images" in str(apart)
    assert "resamples of references" in str(together)


def test_progress_counts_every_image(scorer, table):
    seen = []

    evaluate(scorer, table, resamples=0, progress=seen.append)

    assert seen == list(range(1, 9))


def test_an_image_that_cannot_be_scored_ends_the_evaluation(scorer, table, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("dear diary")

    with pytest.raises(ImageError, match=r"bad\.png: not an image"):
        evaluate(scorer, with_(table, paths=(*table.paths[:-1], bad)))


@pytest.mark.parametrize(("rows", "message"), [([0], "at least 2"), ([0, 1], "the score of all 2")])
def test_scores_that_rank_nothing_are_refused_before_any_image_is_scored(
    scorer, table, rows, message
):
    equal = with_(table, scores=(3.0,) * 8).take(rows)

    with pytest.raises(DatasetError, match=message):
        evaluate(scorer, equal, progress=lambda done: pytest.fail("an image was scored"))


def test_the_dictionary_is_json_and_nan_becomes_null(scorer, table):
    kinds = ("blur",) * 7 + ("odd",)

    values = evaluate(scorer, with_(table.take(range(8)), distortions=kinds), resamples=2).to_dict()
    text = json.dumps(values, allow_nan=False)

    assert json.loads(text) == values
    assert values["model"] == "tiny"
    assert values["sha256"] == scorer.manifest.sha256
    assert values["n"] == 8
    assert values["per_distortion"]["odd"]["srocc"] is None


def test_the_report_prints_every_figure_and_every_note(scorer, table):
    found = evaluate(scorer, table.take(range(4)), resamples=0)

    text = str(found)

    assert text.startswith("tiny on greys, n 4\n")
    for name in ("SROCC", "KRCC", "PLCC raw", "PLCC logistic 4", "PLCC logistic 5", "RMSE"):
        assert f"\n{name} " in text
    assert f"{found.agreement.srocc:.4f}" in text
    assert "note  logistic 4: no fit, 4 scores are too few" in text
    assert scorer.manifest.sha256 in text


def test_predictions_can_be_read_back(scorer, table, tmp_path):
    kinds = tuple("ab" * 4)
    found = evaluate(scorer, with_(table, distortions=kinds), resamples=0)

    write_predictions(found, tmp_path / "predictions.csv")

    with (tmp_path / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["path", "predicted", "human", "distortion"]
    assert [float(row["predicted"]) for row in rows] == list(found.predicted)
    assert [float(row["human"]) for row in rows] == list(HUMAN)
    assert [row["path"] for row in rows] == [str(path) for path in table.paths]
    assert [row["distortion"] for row in rows] == list(kinds)
