import numpy as np
import pytest

from hwnas.predictors.conformal import conformal_interval, conformal_quantile, highest_level
from hwnas.predictors.metrics import accuracy


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_bounds_cover_fresh_errors_at_their_level(level):
    # 2,000 draws: 3.5 points off the nominal level has a probability below 1e-5.
    rng = np.random.default_rng(0)
    held = []
    for _ in range(2000):
        errors = rng.standard_t(4, size=41)
        held.append(errors[0] <= conformal_quantile(errors[1:], level))
    assert abs(np.mean(held) - level) < 0.035


def test_beyond_what_the_sample_tells_the_bound_is_wider_than_all_of_it():
    errors = np.linspace(-1, 1, 9)
    assert conformal_quantile(errors, 0.99) > 1
    low, high = conformal_interval(np.zeros(0), 0.9)
    assert low < -0.2 and high > 0.2


@pytest.mark.parametrize("count", [5, 9, 19, 39, 45, 99, 273])
def test_the_highest_level_is_that_of_the_whole_sample_and_no_more(count):
    errors = np.linspace(-1, 2, count)
    level = highest_level(count)
    assert conformal_interval(errors, level) == (-1, 2)
    assert conformal_interval(errors, level + 0.001)[1] > 2
    assert highest_level(0) == highest_level(1) == 0


def test_accuracy_counts_what_it_says():
    found = accuracy([1.0, 2.08, 3.27, 4.0], [1.0, 2.0, 3.0, 5.0])
    assert found.mape_pct == pytest.approx((0 + 4 + 9 + 20) / 4)
    assert (found.within_5_pct, found.within_10_pct) == (50, 75)
    assert found.spearman == 1 and found.kendall == 1
    assert accuracy([1, 1], [1, 2]).spearman == 0
