"""What every discrete strategy must do, whatever it is."""

import json

import numpy as np
import pytest

from hwnas.errors import InfeasibleLimitError
from hwnas.search import LatencyConstraint
from hwnas.search.registry import DISCRETE
from hwnas.search.strategy import STRATEGIES
from hwnas.spaces import space

NAMES = sorted(DISCRETE)
ENDING = {"grid", "compound"}
"""Strategies that end before the space does."""


def value(genotype):
    return float(sum(genotype)) - 0.1 * genotype[0] ** 2


def history(strategy, asks, count=3):
    """What was asked in some rounds, all of it told."""
    found = []
    for _ in range(asks):
        asked = strategy.ask(count)
        found.append(asked)
        for genotype in asked:
            strategy.tell(genotype, value(genotype))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_it_is_known_by_its_name(name):
    assert DISCRETE[name].name == name and name in STRATEGIES


@pytest.mark.parametrize("name", NAMES)
def test_what_it_proposes_is_feasible_new_and_canonical(name, predictor, constraint):
    own = predictor.space
    found = [item for asked in history(DISCRETE[name](own, constraint, 0), 14) for item in asked]
    assert len(found) >= 10
    assert len(set(found)) == len(found)
    rows = np.array(found)
    assert constraint.feasible(rows).all()
    assert (own.canonical(rows) == rows).all()
    assert all(own.check(item) == item for item in found)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_reproduce(name, predictor, constraint):
    kind = DISCRETE[name]
    first = history(kind(predictor.space, constraint, 5), 10)
    assert history(kind(predictor.space, constraint, 5), 10) == first
    if name != "compound":
        assert history(kind(predictor.space, constraint, 6), 10) != first


@pytest.mark.parametrize("rounds", [1, 5, 9])
@pytest.mark.parametrize("name", NAMES)
def test_a_state_that_went_through_json_goes_on_alike(name, rounds, predictor, constraint):
    kind = DISCRETE[name]
    first = kind(predictor.space, constraint, 1)
    told = [item for asked in history(first, rounds) for item in asked]
    state = json.loads(json.dumps(first.state_dict()))
    second = kind(predictor.space, constraint, 99)
    second.recall((item, value(item)) for item in told)
    second.load_state_dict(state, told)
    assert history(second, 4) == history(first, 4)
    assert json.dumps(first.state_dict()) == json.dumps(second.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_its_state_does_not_grow_with_the_search(name, predictor, constraint):
    strategy = DISCRETE[name](predictor.space, constraint, 0)
    history(strategy, 20)
    early = len(json.dumps(strategy.state_dict()))
    history(strategy, 40)
    assert len(json.dumps(strategy.state_dict())) < 2 * early + 20_000


@pytest.mark.parametrize("name", NAMES)
def test_failures_are_survived(name, predictor, constraint):
    strategy = DISCRETE[name](predictor.space, constraint, 0)
    for turn in range(12):
        for index, genotype in enumerate(strategy.ask(3)):
            strategy.tell(genotype, float("nan") if turn < 6 or index else value(genotype))
    json.dumps(strategy.state_dict(), allow_nan=False)


@pytest.mark.parametrize("name", NAMES)
def test_the_scale_of_the_accuracies_does_not_matter(name, predictor, constraint):
    kind = DISCRETE[name]
    found = []
    for scale, shift in ((1.0, 0.0), (8.0, -64.0)):
        strategy, asked = kind(predictor.space, constraint, 2), []
        for _ in range(10):
            asked += strategy.ask(2)
            for genotype in asked[-2:]:
                strategy.tell(genotype, scale * value(genotype) + shift)
        found.append(asked)
    assert found[0] == found[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_space_is_searched_to_its_end(name):
    own = space("micro")
    strategy = DISCRETE[name](own, LatencyConstraint(Flat(), 1.0), 0)
    found = []
    for _ in range(2 * own.size):
        asked = strategy.ask(16)
        if not asked:
            break
        for genotype in asked:
            found.append(genotype)
            strategy.tell(genotype, value(genotype))
    assert strategy.ask(4) == []
    assert len(set(found)) == len(found) <= own.size
    if name not in ENDING:
        # Random draws may miss a few of the last.
        assert len(found) >= 0.95 * own.size


@pytest.mark.parametrize("name", NAMES)
def test_nothing_feasible_is_an_end_and_not_a_loop(name, predictor):
    constraint = LatencyConstraint(predictor, 1e-3)
    assert DISCRETE[name](predictor.space, constraint, 0).ask(4) == []
    with pytest.raises(InfeasibleLimitError):
        constraint.require_feasible(predictor.space, np.random.default_rng(0))


@pytest.mark.parametrize("name", NAMES)
def test_what_another_strategy_was_told_is_not_proposed(name):
    own = space("micro")
    strategy = DISCRETE[name](own, LatencyConstraint(Flat(), 1.0), 0)
    known = [tuple(int(g) for g in row) for row in own.sample(np.random.default_rng(1), 40)]
    for genotype in known:
        strategy.tell(genotype, value(genotype))
    found = [item for asked in history(strategy, 10) for item in asked]
    assert found and not set(found) & set(known)


class Flat:
    """Everything takes half a millisecond."""

    def predict_ms(self, genotypes):
        return np.full(len(genotypes), 0.5)

    def bounds_ms(self, genotypes, quantile):
        return self.predict_ms(genotypes), self.predict_ms(genotypes)
