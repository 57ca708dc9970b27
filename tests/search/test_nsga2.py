import math

import numpy as np
import pytest

from hwnas.errors import RequestError
from hwnas.search import LatencyConstraint, RandomSearch, pareto_front
from hwnas.search.nsga2 import Individual, Nsga2, crowding, fronts, ranking
from hwnas.spaces import space


def test_fronts_by_hand():
    value = np.array([3.0, 2.0, 1.0, 2.5, 1.0, 2.0])
    latency = np.array([3.0, 2.0, 1.0, 3.5, 2.5, 2.0])
    # The fourth is beaten by the first only; equals (second and last) do not beat each other;
    # the fifth is beaten by the second.
    assert fronts(value, latency).tolist() == [0, 0, 0, 1, 1, 0]


def test_fronts_against_the_definition():
    rng = np.random.default_rng(0)
    value, latency = rng.integers(6, size=40).astype(float), rng.integers(6, size=40).astype(float)
    front = fronts(value, latency)

    def beats(i, j):
        return (value[i] >= value[j] and latency[i] <= latency[j]) and (
            value[i] > value[j] or latency[i] < latency[j]
        )

    left = set(range(40))
    for number in range(int(front.max()) + 1):
        best = {j for j in left if not any(beats(i, j) for i in left)}
        assert best == set(np.flatnonzero(front == number).tolist())
        left -= best


def test_crowding_by_hand():
    value = np.array([0.0, 1.0, 3.0, 4.0])
    latency = np.array([0.0, 2.0, 3.0, 10.0])
    found = crowding(value, latency)
    assert found[0] == found[3] == math.inf
    assert found[1] == pytest.approx(3 / 4 + 3 / 10)
    assert found[2] == pytest.approx(3 / 4 + 8 / 10)


def test_ranking_prefers_the_front_then_space():
    people = [
        Individual((0,), 0.0, 5.0),
        Individual((1,), 1.0, 1.0),
        Individual((2,), 1.1, 1.1),
        Individual((3,), 2.0, 3.0),
        Individual((4,), 4.0, 9.0),
    ]
    order = ranking(people).tolist()
    assert order[-1] == 0
    assert set(order[:2]) == {1, 4} and order[2] == 3 and order[3] == 2


def test_a_generation_keeps_the_best_of_parents_and_children(predictor, constraint):
    strategy = Nsga2(predictor.space, constraint, 0, population=4)
    for value, genotype in enumerate(strategy.ask(4)):
        strategy.tell(genotype, float(value))
    assert len(strategy.parents) == 4 and not strategy.children
    children = strategy.ask(4)
    for genotype in children:
        strategy.tell(genotype, 100.0)
    assert {item.value for item in strategy.parents} & {100.0}
    assert len(strategy.parents) == 4


def test_its_front_covers_more_than_that_of_random_search(wide):
    predictor_of, paths_of = wide
    own = space("mobilenet-32")
    predictor = predictor_of(own, 1.0)
    constraint, model = LatencyConstraint(predictor, 60.0), paths_of(own, 1.0)
    volumes = []
    for kind in (Nsga2, RandomSearch):
        found = []
        for seed in range(5):
            strategy, judged = kind(own, constraint, seed), []
            for _ in range(50):
                for genotype in strategy.ask(4):
                    value = -float(model.true_loss(np.array([genotype]))[0])
                    judged.append((float(predictor.predict_ms(np.array([genotype]))[0]), value))
                    strategy.tell(genotype, value)
            found.append(volume(judged))
        volumes.append(np.mean(found))
    assert volumes[0] > volumes[1]


def volume(judged, latest=60.0, worst=-3.0):
    """Area of latency and accuracy that the front beats."""
    area, best = 0.0, worst
    for index in pareto_front([ms for ms, _ in judged], [v for _, v in judged]):
        ms, value = judged[index]
        area += (latest - ms) * max(0.0, value - best)
        best = max(best, value)
    return area


def test_sizes_are_checked(predictor, constraint):
    with pytest.raises(RequestError, match="population must be at least 4"):
        Nsga2(predictor.space, constraint, 0, population=2)
    with pytest.raises(RequestError, match="crossover must be from 0 to 1"):
        Nsga2(predictor.space, constraint, 0, crossover=1.5)
