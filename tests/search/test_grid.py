import math

import numpy as np

from hwnas.search import LatencyConstraint
from hwnas.search.grid import GridSearch
from hwnas.search.scales import choice_groups, levels
from hwnas.spaces import space


def everything(strategy, count=7):
    found = []
    while asked := strategy.ask(count):
        found += asked
    return found


def test_it_visits_every_feasible_point_once(predictor):
    own = predictor.space
    whole = everything(GridSearch(own, LatencyConstraint(predictor, 1e3), 0))
    points = math.prod(levels(own, members) for members in choice_groups(own).values())
    # Levels that come to one architecture are one point.
    assert len(whole) == len(set(whole)) <= points
    constraint = LatencyConstraint(predictor, 0.35)
    within = everything(GridSearch(own, constraint, 3))
    expected = {item for item in whole if constraint.feasible(np.array([item]))[0]}
    assert set(within) == expected and len(expected) < len(whole)


def test_a_cell_space_is_its_own_grid(cell_predictor):
    own = space("nasbench201")
    strategy = GridSearch(own, LatencyConstraint(cell_predictor, 1e3), 0)
    assert strategy.points == own.size
    asked = strategy.ask(600)
    assert len(set(asked)) == 600
    # A prefix of the grid is spread over it: every value of every choice comes up about equally.
    for column in np.array(asked).T:
        counts = np.bincount(column, minlength=5)
        assert counts.min() > 0.9 * 120 and counts.max() < 1.1 * 120


def test_a_grid_with_more_points_than_numbers_of_64_bits_is_stepped_through():
    from hwnas.search.table import table_space

    own = table_space("huge", [tuple("abcdef")] * 40)
    # Choices of one group are moved together; here each is named differently.
    strategy = GridSearch(own, LatencyConstraint(Half(), 1.0), 0)
    assert strategy.points == 6**40
    assert len(set(strategy.ask(50))) == 50


class Half:
    def bounds_ms(self, genotypes, quantile):
        return np.full(len(genotypes), 0.5), np.full(len(genotypes), 0.5)
