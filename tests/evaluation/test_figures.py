"""Figures hold what the report says; what they look like is for the eye."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from helpers import tiny
from lifeiqa.config import Labels
from lifeiqa.data.table import Table
from lifeiqa.evaluation.evaluate import evaluate
from lifeiqa.evaluation.figures import distortions, scatter, write_figures
from lifeiqa.metrics import fit_logistic4
from lifeiqa.scorer import Scorer

GREYS = (10, 200, 60, 90, 30, 150, 120, 240)
LOWER = Labels(dataset="people", low=0, high=10, direction="lower")


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    table = Table(
        name="darkness",
        paths=tuple(tiny.write_image(folder / f"{grey}.png", grey) for grey in GREYS),
        scores=(9.0, 4.0, 7.0, 8.0, 7.5, 6.0, 5.0, 4.5),
        labels=LOWER,
        distortions=("blur", "noise") * 3 + ("blur", "odd"),
    )
    with Scorer(
        tiny.write_model(folder / "tiny.onnx"), runtime="onnxruntime", device="cpu", threads=1
    ) as scorer:
        return evaluate(scorer, table, resamples=50)


def texts(figure):
    (axes,) = figure.axes
    return " | ".join(
        [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        + [text.get_text() for text in [*axes.texts, *axes.get_yticklabels()]]
    )


def test_the_scatter_holds_every_image_in_the_units_of_either_side(evaluation):
    (axes,) = scatter(evaluation).axes

    (points,) = axes.collections
    assert points.get_offsets().tolist() == [
        list(pair) for pair in zip(evaluation.predicted, evaluation.table.scores, strict=True)
    ]


def test_the_curve_of_the_scatter_is_the_fit_of_the_report(evaluation):
    (axes,) = scatter(evaluation).axes

    (line,) = axes.lines
    x, y = line.get_data()
    assert (x[0], x[-1]) == (10, 240)
    fit = fit_logistic4([-grey for grey in GREYS], evaluation.table.scores)
    assert y == pytest.approx(fit.predict(-x), rel=1e-6)
    assert y[0] > y[-1]  # lower is better: the curve falls


def test_the_scatter_names_models_units_and_figures(evaluation):
    text = texts(scatter(evaluation))

    assert "tiny on darkness" in text
    assert f"n 8, SROCC {evaluation.agreement.srocc:.3f}" in text
    assert "Predicted score (greys, 0 to 255, higher is better)" in text
    assert "Human score (people, 0 to 10, lower is better)" in text


def test_scores_without_a_fit_are_drawn_without_a_curve(evaluation):
    few = dataclasses.replace(
        evaluation, table=evaluation.table.take([0, 1, 2]), predicted=evaluation.predicted[:3]
    )

    (axes,) = scatter(few).axes

    assert len(axes.lines) == 0
    assert len(axes.collections[0].get_offsets()) == 3


def test_each_distortion_has_a_bar_as_long_as_its_srocc(evaluation):
    figure = distortions(evaluation)
    (axes,) = figure.axes

    widths = [bar.get_width() for bar in axes.patches]
    expected = [part.srocc for part in evaluation.per_distortion.values()]
    assert np.array(widths) == pytest.approx(np.array(expected), nan_ok=True)
    text = texts(figure)
    for words in ("blur  (n 4)", "noise  (n 3)", "odd  (n 1)", "not defined"):
        assert words in text


def test_figures_are_written_as_images(evaluation, tmp_path):
    written = write_figures(evaluation, tmp_path / "new" / "figures")

    assert [path.name for path in written] == ["scatter.png", "distortions.png"]
    for path in written:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert min(image.size) > 200
    assert sorted(path.parent.iterdir()) == sorted(written)


def test_without_distortions_there_is_a_scatter_alone(evaluation, tmp_path):
    plain = dataclasses.replace(evaluation, per_distortion={})

    assert [path.name for path in write_figures(plain, tmp_path)] == ["scatter.png"]
