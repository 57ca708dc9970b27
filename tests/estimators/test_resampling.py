import math

import numpy as np
import pytest
from scipy import stats

from hwnas.estimators import resampling
from hwnas.estimators.ranking import cost_bands, rank_statistics
from hwnas.estimators.resampling import STATISTICS, Resampling, interval


def example(seed=0, count=40):
    """Scores with ties and gaps, accuracies with ties, bands of cost."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 15, count) / 15
    scores = np.round(truth * 10 + rng.normal(0, 3, count))
    scores[rng.integers(count, size=3)] = np.nan
    return scores, truth, cost_bands(rng.integers(0, 12, count))


@pytest.mark.parametrize("seed", range(3))
def test_matrices_give_what_each_resample_gives_by_itself(monkeypatch, seed):
    scores, truth, bands = example(seed)
    fast = Resampling(truth, bands, resamples=60, seed=seed)
    monkeypatch.setattr(resampling, "MATRIX_MOST", 0)
    slow = Resampling(truth, bands, resamples=60, seed=seed)
    np.testing.assert_array_equal(fast.weights, slow.weights)
    monkeypatch.setattr(resampling, "MATRIX_MOST", 1000)
    quick = fast.draw(scores)
    monkeypatch.setattr(resampling, "MATRIX_MOST", 0)
    plain = slow.draw(scores)
    assert set(quick) == set(plain) == set(STATISTICS)
    for name in STATISTICS:
        np.testing.assert_allclose(quick[name], plain[name], atol=1e-9, err_msg=name)


def test_a_resample_is_the_statistic_of_the_architectures_drawn():
    scores, truth, _ = example()
    scores = np.nan_to_num(scores, nan=-99)
    own = Resampling(truth, resamples=20, seed=4)
    drawn = own.draw(scores)
    for number, weights in enumerate(own.weights.astype(int)):
        assert weights.sum() == len(truth)
        index = np.repeat(np.arange(len(truth)), weights)
        tau = stats.kendalltau(scores[index], truth[index]).statistic
        assert drawn["kendall"][number] == pytest.approx(tau, abs=1e-9)
    assert np.isnan(drawn["band_kendall"]).all()


def test_a_constant_score_has_a_correlation_of_nothing_in_every_resample():
    _, truth, bands = example()
    drawn = Resampling(truth, bands, resamples=30).draw(np.ones(len(truth)))
    assert set(drawn["kendall"]) == set(drawn["spearman"]) == set(drawn["band_kendall"]) == {0.0}


def test_the_true_score_is_right_in_every_resample():
    truth = np.random.default_rng(1).random(40)
    drawn = Resampling(truth, resamples=200).draw(truth)
    for name in ("kendall", "spearman"):
        np.testing.assert_allclose(drawn[name], 1)
    np.testing.assert_allclose(drawn["regret"], 0, atol=1e-12)


def test_few_architectures_have_no_top_tenth():
    truth = np.arange(12.0)
    assert interval(Resampling(truth).draw(truth)["top_decile_kendall"]) == pytest.approx(
        (math.nan, math.nan), nan_ok=True
    )


def test_resamples_are_fewer_for_many_architectures():
    assert len(Resampling(np.arange(20.0)).weights) == 1000
    assert len(Resampling(np.arange(1001.0)).weights) == 200


def test_the_interval_is_of_percentiles_of_what_is_defined():
    values = np.arange(101.0)
    assert interval(values, 0.9) == pytest.approx((5, 95))
    assert interval(np.append(values, [math.nan] * 50), 0.9) == pytest.approx((5, 95))
    assert all(map(math.isnan, interval(np.append(values, [math.nan] * 102))))
    assert all(map(math.isnan, interval(np.array([math.nan]))))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    """Two normal variables with correlation ρ have tau 2/π·asin ρ."""
    rng, tau, held = np.random.default_rng(0), 2 / math.pi * math.asin(0.6), 0
    for _ in range(100):
        both = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=60)
        low, high = interval(Resampling(both[:, 0], resamples=300).draw(both[:, 1])["kendall"])
        held += low <= tau <= high
    # With a coverage of 0.93, 85 or fewer of 100 have a probability of 0.4 %.
    assert held > 85


def test_the_point_estimate_is_inside():
    scores, truth, bands = example(3)
    drawn = Resampling(truth, bands).draw(scores)
    for name, value in rank_statistics(scores, truth, bands).to_json().items():
        low, high = interval(drawn[name])
        assert low <= value <= high or name == "regret"
