import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifeiqa.errors import ConfigError
from lifeiqa.metrics import (
    agreement,
    fit_logistic4,
    fit_logistic5,
    krcc,
    logistic4,
    logistic5,
    plcc,
    srocc,
)

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


@pytest.mark.parametrize("metric", [*CORRELATIONS, fit_logistic4, fit_logistic5, agreement])
@pytest.mark.parametrize(
    ("x", "y"),
    [([1, 2, 3], [1, 2]), ([1], [1]), ([], []), ([[1, 2]], [[1, 2]]), (1, 2)],
)
def test_lists_that_cannot_be_paired_are_refused_with_their_shapes(metric, x, y):
    with pytest.raises(ConfigError) as caught:
        metric(x, y)

    assert str(np.shape(x)) in str(caught.value)
    assert str(np.shape(y)) in str(caught.value)


def plain4(x, b1, b2, b3, b4):
    return (b1 - b2) / (1 + math.exp(-(x - b3) / abs(b4))) + b2


def plain5(x, b1, b2, b3, b4, b5):
    return b1 * (1 / 2 - 1 / (1 + math.exp(b2 * (x - b3)))) + b4 * x + b5


FITS = [fit_logistic4, fit_logistic5]
PLAIN = {fit_logistic4: plain4, fit_logistic5: plain5}


def noisy(seed=0, n=60):
    """Predictions and human scores around a curve, as a model of middling quality has them."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(0, 1, n)
    return x, 1 / (1 + np.exp(-7 * (x - 0.6))) + generator.normal(0, 0.08, n)


def squares(curve, parameters, x, y):
    return sum((curve(a, *parameters) - b) ** 2 for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize(
    ("curve", "plain", "parameters"),
    [
        (logistic4, plain4, (80.0, 5.0, 40.0, 12.0)),
        (logistic4, plain4, (0.1, 0.9, 0.4, -0.2)),
        (logistic5, plain5, (60.0, 0.1, 45.0, 0.3, 20.0)),
        (logistic5, plain5, (-1.0, 3.0, 0.5, -0.2, 0.4)),
    ],
)
def test_a_curve_equals_its_definition(curve, plain, parameters):
    x = np.linspace(-5, 60, 14)

    assert curve(x, *parameters) == pytest.approx([plain(a, *parameters) for a in x], rel=1e-12)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("far", [-1e300, 1e5, 1e300])
def test_a_curve_far_outside_the_scores_neither_overflows_nor_warns(fit, far):
    assert np.isfinite(fit(*noisy()).predict([far])).all()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 100), (1e4, 1e4 + 9)])
@pytest.mark.parametrize(("below", "above"), [(0, 1), (100, 0), (-3, -2)])
def test_the_curve_that_made_the_scores_is_found(low, high, below, above):
    x = np.linspace(low, high, 40)
    made = (above, below, low + 0.4 * (high - low), 0.15 * (high - low))
    y = [plain4(a, *made) for a in x]

    fit = fit_logistic4(x, y)

    assert fit.converged
    assert fit.predict(x) == pytest.approx(y, abs=1e-6 * abs(above - below))
    # A curve that falls is also the mirror of one that rises: only what rises is unique.
    if above > below:
        assert fit.parameters == pytest.approx(made, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("seed", range(3))
def test_no_change_of_a_parameter_brings_the_fit_nearer_to_the_scores(fit, seed):
    x, y = noisy(seed)
    found = fit(x, y)
    least = squares(PLAIN[fit], found.parameters, x, y)

    assert found.predict(x) == pytest.approx([PLAIN[fit](a, *found.parameters) for a in x])
    for index in range(len(found.parameters)):
        for step in (-1e-2, 1e-2):
            moved = list(found.parameters)
            moved[index] += step * max(abs(moved[index]), 0.1)
            assert squares(PLAIN[fit], moved, x, y) > least


def test_the_fit_is_that_of_the_definition_from_its_published_start():
    from scipy.optimize import curve_fit

    x, y = noisy()
    start = (y.max(), y.min(), x.mean(), x.std() / 4)
    expected, _ = curve_fit(np.vectorize(plain4), x, y, p0=start)

    assert fit_logistic4(x, y).parameters == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("fit", FITS)
def test_the_units_of_either_side_do_not_change_the_fit(fit):
    x, y = noisy()
    elsewhere = fit(250 * x - 40, 9 * y + 1).predict(250 * x - 40)

    assert (elsewhere - 1) / 9 == pytest.approx(fit(x, y).predict(x), abs=1e-5)


@pytest.mark.parametrize(
    ("fit", "x", "y", "reason"),
    [
        (fit_logistic4, [1, 2, 3, 4], [1, 3, 2, 4], "4 scores are too few for a curve of 4"),
        (fit_logistic5, [1, 2, 3, 4, 5], [1, 3, 2, 4, 5], "5 scores are too few for a curve of 5"),
        (fit_logistic4, [3.0] * 9, range(9), "all the same"),
        (fit_logistic5, range(9), [3.0] * 9, "all the same"),
        (fit_logistic4, [math.nan, *range(8)], range(9), "not a finite number"),
        (fit_logistic5, range(9), [math.inf, *range(8)], "not a finite number"),
    ],
)
def test_scores_that_cannot_be_fitted_give_nan_and_the_reason(fit, x, y, reason):
    found = fit(x, y)

    assert not found.converged
    assert reason in found.reason
    assert found.parameters == ()
    assert np.isnan(found.predict([0.0, 1.0])).all()


def test_a_fit_that_does_not_converge_gives_nan_and_says_so():
    # One far point, through which a line and a vast, almost linear sigmoid creep for ever.
    x, y = [*range(12), 1000], [*range(12), 1]

    figures = agreement(x, y)

    assert math.isnan(figures.plcc_logistic5)
    assert any("logistic 5: no fit, it did not converge" in note for note in figures.notes)
    assert not math.isnan(figures.plcc)


def test_agreement_holds_every_figure():
    predicted, human = (side.tolist() for side in noisy())
    four, five = (fit(predicted, human).predict(predicted) for fit in FITS)

    figures = agreement(predicted, human)

    assert figures.n == 60
    assert figures.srocc == pytest.approx(spearman(predicted, human))
    assert figures.krcc == pytest.approx(tau_b(predicted, human))
    assert figures.plcc == pytest.approx(pearson(predicted, human))
    assert figures.plcc_logistic4 == pytest.approx(pearson(four, human))
    assert figures.plcc_logistic5 == pytest.approx(pearson(five, human))
    mean = sum((a - b) ** 2 for a, b in zip(four, human, strict=True)) / 60
    assert figures.rmse == pytest.approx(math.sqrt(mean))
    assert figures.plcc < figures.plcc_logistic4
    assert figures.notes == ()


def test_the_rmse_is_in_the_units_of_the_human_scores():
    predicted, human = noisy()

    assert agreement(predicted, 100 * human).rmse == pytest.approx(
        100 * agreement(predicted, human).rmse, rel=1e-5
    )
    assert agreement(100 * predicted, human).rmse == pytest.approx(
        agreement(predicted, human).rmse, rel=1e-5
    )


def test_too_few_scores_have_correlations_but_no_fit():
    figures = agreement([1, 2, 3], [1, 3, 4])

    assert figures.srocc == pytest.approx(1)
    assert math.isnan(figures.plcc_logistic4)
    assert math.isnan(figures.plcc_logistic5)
    assert math.isnan(figures.rmse)
    assert [note.partition(":")[0] for note in figures.notes] == ["logistic 4", "logistic 5"]


def test_a_constant_side_is_named():
    assert "no correlation: every predicted score is 3" in agreement([3] * 9, range(9)).notes
    assert "no correlation: every human score is 3" in agreement(range(9), [3] * 9).notes


def test_a_fit_that_turns_the_predictions_round_is_told():
    predicted, human = noisy()

    figures = agreement(-predicted, human)

    assert figures.plcc < 0 < figures.plcc_logistic4
    assert any(note.startswith("PLCC is negative") for note in figures.notes)


def test_single_precision_scores_are_compared_in_double():
    x = np.array([1e8, 1e8 + 8, 1e8 + 16], dtype=np.float32)

    assert plcc(x, [0, 1, 2]) == pytest.approx(1)
