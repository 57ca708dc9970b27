import math

import pytest

from hwnas.errors import SpecError
from hwnas.estimators import mean_rank


def test_mean_rank_puts_nan_below_all():
    found = mean_rank([[1.0, 3.0, math.nan, 3.0], [-math.inf, 5.0, 1.0, math.nan]])
    assert found == [2.0, 3.75, 2.0, 2.25]


def test_one_score_keeps_its_order_and_its_scale_does_not_matter():
    scores = [[0.1, 0.3, 0.2], [100.0, 300.0, 200.0]]
    assert mean_rank(scores[:1]) == mean_rank(scores) == [1.0, 3.0, 2.0]


def test_equals_and_missing_values_share_the_mean_of_their_ranks():
    assert mean_rank([[5.0, 5.0, 5.0]]) == [2.0] * 3
    assert mean_rank([[math.nan] * 3]) == [2.0] * 3


@pytest.mark.parametrize(
    ("scores", "says"), [([], "received none"), ([[1.0], [1.0, 2.0]], "received pools of 1, 2")]
)
def test_scores_of_no_or_several_pools_are_refused(scores, says):
    with pytest.raises(SpecError, match=says):
        mean_rank(scores)
