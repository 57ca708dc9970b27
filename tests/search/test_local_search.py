import numpy as np

from hwnas.search import LatencyConstraint, RandomSearch
from hwnas.search.local_search import LocalSearch
from hwnas.spaces import space


def test_it_climbs_to_a_better_neighbour_at_once(predictor):
    constraint = LatencyConstraint(predictor, 1e3)
    strategy = LocalSearch(predictor.space, constraint, 0, starts=1)
    (start,) = strategy.ask(1)
    strategy.tell(start, 0.0)
    near = set(predictor.space.neighbours(start))
    (first,) = strategy.ask(1)
    assert first in near
    strategy.tell(first, -1.0)
    (second,) = strategy.ask(1)
    assert second in near
    strategy.tell(second, 1.0)
    (third,) = strategy.ask(1)
    assert third in set(predictor.space.neighbours(second))


def test_at_a_peak_it_starts_anew():
    own = space("micro")
    strategy = LocalSearch(own, LatencyConstraint(Half(), 1.0), 0, starts=1)
    (start,) = strategy.ask(1)
    strategy.tell(start, 1.0)
    around = strategy.ask(1000)
    assert set(around) == set(own.neighbours(start))
    for genotype in around:
        strategy.tell(genotype, 0.0)
    (other,) = strategy.ask(5)
    assert other not in around
    strategy.tell(other, 0.5)
    assert strategy.peak == (other, 0.5)


def test_steps_beyond_the_limit_are_repaired(wide):
    predictor_of, _ = wide
    own = space("mobilenet-32")
    constraint = LatencyConstraint(predictor_of(own, 1.0), 38.0)
    strategy = LocalSearch(own, constraint, 0, starts=1)
    start = constraint.repair(own, tuple(int(n) - 1 for n in own.cardinalities))
    strategy.tell(start, 1.0)
    far = [item for item in strategy.ask(500) if item not in set(own.neighbours(start))]
    assert far and constraint.feasible(np.array(far)).all()


def test_it_beats_random_search(wide):
    predictor_of, paths_of = wide
    own = space("mobilenet-32")
    constraint, model = LatencyConstraint(predictor_of(own, 1.0), 38.0), paths_of(own, 1.0)
    means = []
    for kind in (LocalSearch, RandomSearch):
        best = []
        for seed in range(8):
            strategy, losses = kind(own, constraint, seed), []
            while len(losses) < 80:
                for genotype in strategy.ask(1):
                    losses.append(model.true_loss(np.array([genotype]))[0])
                    strategy.tell(genotype, -losses[-1])
            best.append(min(losses))
        means.append(np.mean(best))
    # These seeds are fixed; with eight others it lost once in 30 times.
    assert means[0] < means[1]


class Half:
    def bounds_ms(self, genotypes, quantile):
        return np.full(len(genotypes), 0.5), np.full(len(genotypes), 0.5)
