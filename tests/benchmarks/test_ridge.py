"""The linear baseline: solved exactly, its penalty chosen out of fold."""

import numpy as np
import pytest

from helpers.tables import table
from lifeiqa_benchmarks import ridge


@pytest.mark.parametrize("penalty", [0.5, 100.0])
def test_the_ridge_is_least_squares_with_a_row_for_each_penalised_weight(penalty):
    generator = np.random.default_rng(0)
    learned, asked = generator.normal(3, 2, (40, 5)), generator.normal(3, 2, (7, 5))
    targets = learned @ generator.normal(size=5) + generator.normal(size=40)

    found = ridge.ridge(learned, targets, asked, penalty)

    mean, deviation = learned.mean(0), learned.std(0) + 1e-6
    rows = np.vstack([(learned - mean) / deviation, np.sqrt(penalty) * np.eye(5)])
    sides = np.concatenate([targets - targets.mean(), np.zeros(5)])
    weights = np.linalg.lstsq(rows, sides, rcond=None)[0]
    assert found == pytest.approx((asked - mean) / deviation @ weights + targets.mean())


def test_noise_asks_for_a_larger_penalty_than_a_clean_line():
    generator = np.random.default_rng(0)
    images = table(100)  # scored 0 to 99
    clean = np.asarray(images.scores)[:, None] * generator.normal(size=20)
    noisy = clean + 100 * generator.normal(size=(100, 20))

    assert ridge.chosen_penalty(images, noisy) > ridge.chosen_penalty(images, clean)
