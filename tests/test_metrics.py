import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeiqa.errors import ConfigError
from lifeiqa.metrics import agreement, krcc, plcc, srocc

CORRELATIONS = [srocc, plcc, krcc]
PERFECT = [1.0, 2.0, 3.0, 4.0, 5.0]


def average_ranks(values):
    """1 for the smallest; equal values share the mean of the places that they fill."""
    ranks = []
    for value in values:
        below = sum(other < value for other in values)
        equal = sum(other == value for other in values)
        ranks.append(below + (equal + 1) / 2)
    return ranks


def pearson(x, y):
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    together = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    spread_x = sum((a - mean_x) ** 2 for a in x)
    spread_y = sum((b - mean_y) ** 2 for b in y)
    return together / math.sqrt(spread_x * spread_y)


def spearman(x, y):
    return pearson(average_ranks(x), average_ranks(y))


def tau_b(x, y):
    """Concordant minus discordant pairs, over the root of the pairs not tied in x and in y."""
    balance = untied_x = untied_y = 0
    for i in range(len(x)):
        for j in range(i):
            in_x = (x[i] > x[j]) - (x[i] < x[j])
            in_y = (y[i] > y[j]) - (y[i] < y[j])
            balance += in_x * in_y
            untied_x += in_x != 0
            untied_y += in_y != 0
    return balance / math.sqrt(untied_x * untied_y)


DEFINITIONS = [(srocc, spearman), (plcc, pearson), (krcc, tau_b)]
# A small range of whole numbers makes ties in either side, and in both at once, frequent.
pairs = st.lists(st.tuples(st.integers(-6, 6), st.integers(-6, 6)), min_size=2, max_size=25)


def varied(pairs):
    return all(len(set(side)) > 1 for side in zip(*pairs, strict=True))


@pytest.mark.parametrize(("metric", "definition"), DEFINITIONS)
@settings(deadline=None)  # the first example waits for SciPy to load
@given(pairs=pairs.filter(varied))
def test_a_correlation_equals_its_definition(metric, definition, pairs):
    x, y = (list(side) for side in zip(*pairs, strict=True))

    assert metric(x, y) == pytest.approx(definition(x, y), abs=1e-12)


@pytest.mark.parametrize(("metric", "definition"), DEFINITIONS)
@settings(deadline=None, max_examples=25)
@given(pairs=pairs.filter(varied))
def test_a_correlation_is_symmetric_and_changes_sign_with_one_side(metric, definition, pairs):
    x, y = (np.array(side) for side in zip(*pairs, strict=True))

    assert metric(y, x) == pytest.approx(metric(x, y), abs=1e-12)
    assert metric(x, -y) == pytest.approx(-metric(x, y), abs=1e-12)


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_full_agreement_is_one_and_full_disagreement_minus_one(metric):
    assert metric(PERFECT, PERFECT) == pytest.approx(1)
    assert metric(PERFECT, PERFECT[::-1]) == pytest.approx(-1)


def test_rank_correlations_see_order_alone():
    curved = [math.exp(value) for value in PERFECT]

    assert srocc(PERFECT, curved) == pytest.approx(1)
    assert krcc(PERFECT, curved) == pytest.approx(1)
    assert plcc(PERFECT, curved) < 0.95


@pytest.mark.parametrize("metric", CORRELATIONS)
@pytest.mark.parametrize("other", [PERFECT, [2.5] * 5])
def test_a_constant_side_has_no_correlation(metric, other):
    assert math.isnan(metric([3.0] * 5, other))
    assert math.isnan(metric(other, [3.0] * 5))


@pytest.mark.parametrize("metric", CORRELATIONS)
def test_a_score_that_is_no_number_spoils_the_figure(metric):
    assert math.isnan(metric([1.0, math.nan, 3.0], [1.0, 2.0, 3.0]))


@pytest.mark.parametrize("metric", [*CORRELATIONS, agreement])
@pytest.mark.parametrize(
    ("x", "y"),
    [([1, 2, 3], [1, 2]), ([1], [1]), ([], []), ([[1, 2]], [[1, 2]]), (1, 2)],
)
def test_lists_that_cannot_be_paired_are_refused_with_their_shapes(metric, x, y):
    with pytest.raises(ConfigError) as caught:
        metric(x, y)

    assert str(np.shape(x)) in str(caught.value)
    assert str(np.shape(y)) in str(caught.value)


def test_agreement_holds_every_figure():
    predicted, human = [1.0, 2.0, 4.0, 3.0], [1.5, 2.0, 3.0, 5.0]

    figures = agreement(predicted, human)

    assert figures.n == 4
    assert figures.srocc == pytest.approx(spearman(predicted, human))
    assert figures.plcc == pytest.approx(pearson(predicted, human))
    assert figures.krcc == pytest.approx(tau_b(predicted, human))
    assert figures.rmse == pytest.approx(math.sqrt((0.25 + 0 + 1 + 4) / 4))


def test_a_shift_costs_no_correlation_but_shows_in_the_rmse():
    figures = agreement(PERFECT, [value + 2 for value in PERFECT])

    assert figures.srocc == pytest.approx(1)
    assert figures.rmse == pytest.approx(2)


def test_single_precision_scores_are_compared_in_double():
    x = np.array([1e8, 1e8 + 8, 1e8 + 16], dtype=np.float32)

    assert plcc(x, [0, 1, 2]) == pytest.approx(1)
