import numpy as np
import pytest

from hwnas.errors import RequestError
from hwnas.search import LatencyConstraint
from hwnas.search.ofa_evolution import OfaEvolution


def test_the_best_quarter_of_a_generation_stays(predictor, constraint):
    strategy = OfaEvolution(predictor.space, constraint, 0, population=8)
    first = strategy.ask(8)
    for value, genotype in enumerate(first):
        strategy.tell(genotype, float(value))
    assert [genotype for genotype, _ in strategy.elite] == [first[7], first[6]]
    second = strategy.ask(6)
    for genotype in second:
        strategy.tell(genotype, -1.0)
    # Worse children do not push parents out.
    assert [genotype for genotype, _ in strategy.elite] == [first[7], first[6]]
    assert strategy.generation == []


def test_the_resolution_mutates_half_of_the_time(predictor):
    own = predictor.space
    strategy = OfaEvolution(own, LatencyConstraint(predictor, 1e3), 0)
    rng = np.random.default_rng(0)
    parents = np.repeat(own.sample(rng, 1), 4000, axis=0)
    mutants = own.mutate(rng, parents, strategy._mutation)
    changed = (mutants != parents).mean(axis=0)
    count = len(own.choices[own.resolution].values)
    # Redrawn values may be the old ones; one gene in each genotype is always redrawn.
    expected = (1 - 1 / count) * (0.5 + 0.5 / own.length)
    assert changed[own.resolution] == pytest.approx(expected, abs=0.03)
    assert changed[1] < 0.2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"population": 3}, "population must be at least 4, received 3"),
        ({"parents": 1.0}, "parents must be a share between 0 and 1"),
        ({"mutation": -0.1}, "mutation must be from 0 to 1"),
    ],
)
def test_sizes_are_checked(predictor, constraint, options, says):
    with pytest.raises(RequestError, match=says):
        OfaEvolution(predictor.space, constraint, 0, **options)
