"""Bootstrap intervals against one resample at a time, and against theory."""

import math

import numpy as np
import pytest

from lifeiqa.evaluation.bootstrap import (
    draw,
    interval,
    resampled_krcc,
    resampled_plcc,
    resampled_srocc,
)
from lifeiqa.metrics import krcc, plcc, srocc

FIGURES = [(resampled_plcc, plcc), (resampled_srocc, srocc), (resampled_krcc, krcc)]


def related(n, seed=0, decimals=1):
    """Two sides that agree in part; few decimals make ties frequent."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=n)
    return x.round(decimals), (x + generator.normal(size=n)).round(decimals)


@pytest.mark.parametrize(("resampled", "figure"), FIGURES)
@pytest.mark.parametrize("groups", [None, [str(row % 8) for row in range(40)]])
def test_a_figure_of_each_resample_is_that_of_the_images_it_drew(resampled, figure, groups):
    x, y = related(40)
    counts = draw(40, groups, 25, seed=3)

    found = resampled(x, y, counts)

    for value, row in zip(found, counts, strict=True):
        drawn = [index for index in range(40) for _ in range(row[index])]
        assert value == pytest.approx(figure(x[drawn], y[drawn]), abs=1e-12)


def test_a_resample_draws_as_many_images_as_there_are():
    counts = draw(50, None, 200, seed=0)

    assert counts.shape == (200, 50)
    assert (counts.sum(axis=1) == 50).all()
    assert (counts == 0).any()
    assert (counts > 1).any()


def test_images_of_one_reference_are_drawn_together():
    references = ["b", "a", "c", "a", "b", "a"]

    counts = draw(6, references, 100, seed=0)

    assert (counts[:, [1, 3, 5]] == counts[:, [1]]).all()
    assert (counts[:, 0] == counts[:, 4]).all()
    assert (counts[:, [0, 1, 2]].sum(axis=1) == 3).all()
    assert len(np.unique(counts, axis=0)) > 5


def test_a_seed_gives_one_draw():
    assert (draw(9, None, 5, seed=1) == draw(9, None, 5, seed=1)).all()
    assert (draw(9, None, 5, seed=1) != draw(9, None, 5, seed=2)).any()


def test_the_interval_of_a_correlation_is_that_of_theory():
    """Fisher: the inverse tanh of a correlation is normal, of deviation 1 / sqrt(n - 3)."""
    x, y = related(2000, decimals=9)
    middle, width = math.atanh(plcc(x, y)), 1.96 / math.sqrt(1997)

    low, high = interval(resampled_plcc, x, y, draw(2000, None, 2000, seed=0))

    assert math.atanh(low) == pytest.approx(middle - width, abs=0.15 * width)
    assert math.atanh(high) == pytest.approx(middle + width, abs=0.15 * width)


def test_many_copies_of_few_references_are_known_to_be_few():
    x, y = related(30, decimals=9)
    copies = [row for row in range(30) for _ in range(10)]
    together = draw(300, [str(row) for row in copies], 1000, seed=0)
    apart = draw(300, None, 1000, seed=0)

    widths = [
        high - low
        for low, high in (
            interval(resampled_srocc, x[copies], y[copies], counts) for counts in (together, apart)
        )
    ]

    assert widths[0] > 2 * widths[1]


def test_an_interval_holds_the_middle_of_all_resamples_however_many():
    x, y = related(40)
    counts = draw(40, None, 60_000, seed=0)  # more counts than are worked on at once

    figures = np.sort(resampled_srocc(x, y, counts))

    low, high = interval(resampled_srocc, x, y, counts)
    assert figures[1_499] <= low <= figures[1_500]
    assert figures[-1_501] <= high <= figures[-1_500]


@pytest.mark.parametrize(("resampled", "figure"), FIGURES)
def test_too_few_images_have_no_interval(resampled, figure):
    # Some resample draws one image three times: it has no correlation.
    x, y = np.array([0.1, 0.2, 0.3]), np.array([0.7, 0.1, 0.3])

    assert np.isnan(interval(resampled, x, y, draw(3, None, 1000, seed=0))).all()


@pytest.mark.parametrize(("resampled", "figure"), FIGURES)
def test_a_single_reference_has_no_interval_of_width_zero(resampled, figure):
    x, y = related(20)

    assert np.isnan(interval(resampled, x, y, draw(20, ["one"] * 20, 100, seed=0))).all()
