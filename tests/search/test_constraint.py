import numpy as np
import pytest

from hwnas.errors import InfeasibleLimitError, RequestError
from hwnas.search import LatencyConstraint


def test_feasible_is_what_the_upper_bound_allows(predictor, constraint):
    genotypes = predictor.space.sample(np.random.default_rng(0), 500)
    expected = predictor.predict_ms(genotypes) * 1.02 <= 0.35
    assert (constraint.feasible(genotypes) == expected).all()
    assert 0 < expected.sum() < 500


def test_the_lowest_latency_is_that_of_the_whole_space(predictor):
    found = predictor.space
    every = np.unique(
        found.canonical(
            np.stack(np.meshgrid(*map(np.arange, found.cardinalities)), -1).reshape(
                -1, found.length
            )
        ),
        axis=0,
    )
    assert len(every) == found.size
    lowest = predictor.bounds_ms(every, 0.9)[1].min()
    with pytest.raises(InfeasibleLimitError, match="lowest") as caught:
        LatencyConstraint(predictor, lowest * 0.99).require_feasible(
            found, np.random.default_rng(0)
        )
    assert caught.value.lowest_ms == pytest.approx(lowest)
    LatencyConstraint(predictor, lowest * 1.001).require_feasible(found, np.random.default_rng(0))


def test_repair_ends_just_within_the_limit(predictor, constraint):
    for row in predictor.space.sample(np.random.default_rng(1), 50):
        own = tuple(int(gene) for gene in row)
        repaired = constraint.repair(predictor.space, own)
        assert repaired is not None
        assert constraint.feasible(np.array([repaired]))[0]
        if constraint.feasible(row[None])[0]:
            assert repaired == own
    impossible = LatencyConstraint(predictor, 1e-6)
    assert impossible.repair(predictor.space, own) is None


def test_a_breach_tightens(constraint, predictor):
    genotypes = predictor.space.sample(np.random.default_rng(0), 100)
    before = constraint.upper_ms(genotypes)
    constraint.tighten(1.1)
    np.testing.assert_allclose(constraint.upper_ms(genotypes), before * 1.1)
    with pytest.raises(RequestError):
        constraint.tighten(0.9)


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_limits_that_are_none_are_refused(predictor, limit):
    with pytest.raises(RequestError, match="positive"):
        LatencyConstraint(predictor, limit)
    with pytest.raises(RequestError, match="quantile"):
        LatencyConstraint(predictor, 1.0, 1.5)
