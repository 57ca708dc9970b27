import math

import pytest

from hwnas.errors import DivergedError
from hwnas.estimators import Estimate
from hwnas.estimators.ladder import Ladder


class Given:
    """An estimator whose values are given, and which counts what it is asked."""

    def __init__(self, values, name="given"):
        self.values, self.name, self.asked = values, name, []

    def estimate(self, architecture, budget):
        self.asked.append((architecture, budget))
        value = self.values(architecture)
        if value is None:
            raise DivergedError("lost")
        return Estimate(value, 0.0)


def test_one_rung_is_the_mean_rank():
    first, second = (
        Given({"x": 1.0, "y": 2.0, "z": math.nan}.get),
        Given({"x": 5.0, "y": 7.0, "z": 6.0}.get),
    )
    scores = Ladder([[first, second]], 1)(["x", "y", "z"])
    assert scores.index(max(scores)) == 1
    # x and z share the lower ranks: 2 + 1 and 1 + 2.
    assert scores[0] == scores[2] < 1 < scores[1]


def test_each_rung_sees_what_the_one_before_it_left():
    cheap, dear = Given(lambda own: own % 16), Given(lambda own: -own)
    ladder = Ladder([[cheap], [dear]], 2)
    assert ladder.pool == 16 and ladder.sizes(16) == [16, 6, 2]
    scores = ladder(list(range(16)))
    assert len(cheap.asked) == 16
    assert sorted(own for own, _ in dear.asked) == [10, 11, 12, 13, 14, 15]
    order = sorted(range(16), key=lambda i: -scores[i])
    # Of the six best of the cheap one, the dear one prefers the smallest.
    assert order[:2] == [10, 11] and set(order[:6]) == set(range(10, 16))
    assert order[6:] == list(range(9, -1, -1))


def test_a_pool_that_needs_no_halving_is_ranked_all_the_same():
    ladder = Ladder([[Given(float)], [Given(float)]], 3)
    assert ladder.sizes(2) == [2, 2, 2]
    scores = ladder([1, 2])
    assert scores[1] > scores[0]


def test_what_diverged_comes_last_and_trainings_on_a_rung_are_short():
    own = Given({"a": None, "b": 0.1, "c": 0.2}.get, name="inherit")
    scores = Ladder([[own]], 1)(["a", "b", "c"])
    assert scores[2] > scores[1] > scores[0]
    assert {budget.epochs for _, budget in own.asked} == {1}


def test_progress_is_told():
    seen = []
    Ladder([[Given(float)], [Given(float), Given(float)]], 1, seen.append)([1, 2, 3, 4])
    assert seen == sorted(seen) and seen[0] == 0 and seen[-1] < 1
    assert len(seen) == 4 + 2 * 2


def test_without_rungs_nothing_is_chosen():
    ladder = Ladder([], 3)
    assert ladder.pool == 3 and ladder([1, 2, 3]) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("rungs", [1, 2, 3, 4])
def test_more_rungs_see_more(rungs):
    ladder = Ladder([[Given(float)]] * rungs, 3)
    sizes = ladder.sizes(ladder.pool)
    assert sizes[0] == 12 * 2 ** (rungs - 1) and sizes[-1] == 3
    assert sizes == sorted(sizes, reverse=True)
