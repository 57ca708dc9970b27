import math

import numpy as np
import pytest
from scipy import stats

from hwnas.errors import SpecError
from hwnas.estimators import rank_statistics
from hwnas.estimators.ranking import cost_bands, score_ranks, top_threshold


def test_four_architectures_by_hand():
    # One of six pairs is the wrong way round; 1 − 6·(1 + 1)/(4·15).
    found = rank_statistics([1, 2, 3, 4], [0.1, 0.3, 0.2, 0.4])
    assert found.kendall == pytest.approx(4 / 6)
    assert found.spearman == pytest.approx(0.8)
    assert found.regret == 0
    assert math.isnan(found.top_decile_kendall) and math.isnan(found.band_kendall)


def test_ties_by_hand():
    # Four pairs in order, one tie in the scores, one in the truth: 4/√(5·5).
    found = rank_statistics([1, 1, 2, 3], [1, 2, 2, 3])
    assert found.kendall == pytest.approx(0.8)


@pytest.mark.parametrize("seed", range(5))
def test_correlations_are_those_of_scipy(seed):
    rng = np.random.default_rng(seed)
    scores, truth = rng.integers(0, 9, 60).astype(float), rng.integers(0, 12, 60) / 12
    missing = rng.random(60) < 0.2
    own = np.where(missing, rng.choice([np.nan, -np.inf, np.inf], 60), scores)
    last = np.where(missing, -1.0, scores)
    found = rank_statistics(own, truth)
    assert found.kendall == pytest.approx(stats.kendalltau(last, truth).statistic, abs=1e-12)
    assert found.spearman == pytest.approx(stats.spearmanr(last, truth).statistic, abs=1e-12)
    best = np.argsort(truth, kind="stable")[-6:]
    top = truth >= truth[best].min()
    assert found.top_decile_kendall == pytest.approx(
        stats.kendalltau(last[top], truth[top]).statistic, abs=1e-12, nan_ok=True
    )


def test_what_has_no_score_ranks_below_all():
    assert score_ranks([math.nan, 5.0, -math.inf, 7.0]).tolist() == [1.5, 3, 1.5, 4]
    assert rank_statistics([math.nan, 1, 2], [1, 2, 3]).kendall == 1
    assert rank_statistics([math.nan, 1, 2], [3, 1, 2]).regret == 1


def test_a_constant_score_tells_nothing_and_a_constant_truth_has_no_order():
    same = rank_statistics([4.0] * 30, np.arange(30), np.repeat([0, 1], 15))
    assert same.kendall == same.spearman == same.top_decile_kendall == same.band_kendall == 0
    # It picks any architecture: the mean loses half of the range.
    assert same.regret == pytest.approx(14.5)
    none = rank_statistics(np.arange(30), [0.5] * 30, np.repeat([0, 1], 15))
    assert none.regret == 0
    for value in (none.kendall, none.spearman, none.top_decile_kendall, none.band_kendall):
        assert math.isnan(value)


@pytest.mark.parametrize(("count", "size"), [(8, 0), (20, 0), (21, 3), (30, 3), (31, 4), (100, 10)])
def test_the_top_tenth_is_rounded_up_and_needs_three(count, size):
    threshold = top_threshold(np.arange(count, dtype=float))
    assert (np.arange(count) >= threshold).sum() == size


def test_the_top_tenth_is_judged_by_itself():
    truth = np.arange(30, dtype=float)
    scores = truth.copy()
    scores[-3:] = scores[-3:][::-1]
    found = rank_statistics(scores, truth)
    assert found.top_decile_kendall == -1 and found.kendall > 0.9
    assert found.regret == 2
    # The fourth best ties with the third, and is in: one of five untied pairs goes wrong.
    truth[-4] = truth[-3]
    scores[-4:] = [1000, 1001, 1003, 1002]
    expected = stats.kendalltau([0, 1, 3, 2], [27, 27, 28, 29]).statistic
    assert rank_statistics(scores, truth).top_decile_kendall == pytest.approx(expected)


def test_bands_leave_out_what_cost_explains():
    bands = np.repeat([0, 1], 3)
    # Right within each band, wrong between them: 6 pairs of 15 right, 9 wrong.
    found = rank_statistics([11, 12, 13, 1, 2, 3], [1, 2, 3, 11, 12, 13], bands)
    assert found.band_kendall == 1
    assert found.kendall == pytest.approx((6 - 9) / 15)
    mixed = rank_statistics([1, 1, 2, 5, 4, 6], [1, 2, 3, 4, 5, 6], bands)
    # Band 0: 2 right, 1 tie in the scores. Band 1: 2 right, 1 wrong.
    assert mixed.band_kendall == pytest.approx((2 + 1) / math.sqrt(5 * 6))


def test_a_band_of_one_has_no_pairs():
    found = rank_statistics([1, 2, 3, 0], [1, 2, 3, 9], [0, 0, 0, 1])
    assert found.band_kendall == 1
    assert math.isnan(rank_statistics([1, 2], [1, 2], [0, 1]).band_kendall)


@pytest.mark.parametrize(
    ("count", "sizes"), [(3, [3]), (8, [4, 4]), (12, [4] * 3), (100, [20] * 5)]
)
def test_bands_are_of_equal_size(count, sizes):
    costs = np.random.default_rng(0).permutation(count) * 7.0
    bands = cost_bands(costs)
    assert np.bincount(bands).tolist() == sizes
    assert (np.diff(bands[np.argsort(costs)]) >= 0).all()


def test_equal_costs_are_in_one_band():
    assert set(cost_bands([5.0] * 20).tolist()) == {0}
    bands = cost_bands([1.0] * 6 + [2.0] * 6)
    assert len(set(bands[:6].tolist())) == len(set(bands[6:].tolist())) == 1


@pytest.mark.parametrize(
    ("scores", "truth", "says"),
    [
        ([1, 2, 3], [1, 2], "as many"),
        ([1], [1], "at least 2"),
        ([1, 2], [1, math.nan], "must be finite"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, truth, says):
    with pytest.raises(SpecError, match=says):
        rank_statistics(scores, truth)


def test_costs_must_be_known():
    with pytest.raises(SpecError, match="finite"):
        cost_bands([1.0, math.nan])
