import numpy as np
import pytest

from hwnas.errors import InfeasibleLimitError, RequestError
from hwnas.search import LatencyConstraint
from hwnas.search.limits import CostLimit, DeviceLimit
from hwnas.search.registry import DISCRETE
from hwnas.spaces.costs import COSTS, SlotCosts


def test_all_limits_are_kept(predictor):
    own = predictor.space
    macs = SlotCosts(own, COSTS["macs"])
    rows = own.sample(np.random.default_rng(0), 400)
    most = float(np.median(macs(rows)))
    loose, tight = LatencyConstraint(predictor, 1e3), LatencyConstraint(predictor, 0.35)
    both = LatencyConstraint(predictor, 0.35, others=[CostLimit(own, "macs", most)])
    expected = tight.feasible(rows) & (macs(rows) <= most)
    assert (both.feasible(rows) == expected).all()
    assert 0 < expected.sum() < tight.feasible(rows).sum()
    phone = LatencyConstraint(predictor, 0.5, others=[DeviceLimit("b", tight)])
    assert (phone.feasible(rows) == tight.feasible(rows)).all()
    assert loose.feasible(rows).all()
    # A share of the limit, whatever limit is nearest.
    share = np.maximum(tight.latency_upper_ms(rows) / 0.35, macs(rows) / most)
    assert both.upper_ms(rows) == pytest.approx(0.35 * share)


@pytest.mark.parametrize("name", sorted(DISCRETE))
def test_every_strategy_keeps_them(name, predictor):
    own = predictor.space
    limits = [CostLimit(own, "parameters", 60_000), CostLimit(own, "activation_bytes", 150_000)]
    constraint = LatencyConstraint(predictor, 0.5, others=limits)
    strategy = DISCRETE[name](own, constraint, 0)
    found = []
    for _ in range(8):
        for genotype in strategy.ask(3):
            found.append(genotype)
            strategy.tell(genotype, float(sum(genotype)))
    assert len(found) >= 5
    rows = np.array(found)
    assert all((limit.upper(rows) <= limit.limit).all() for limit in limits)
    assert (constraint.latency_upper_ms(rows) <= 0.5).all()


def test_what_repairing_gives_keeps_all_limits(predictor):
    own = predictor.space
    constraint = LatencyConstraint(predictor, 0.5, others=[CostLimit(own, "parameters", 60_000)])
    largest = tuple(int(n) - 1 for n in own.cardinalities)
    mended = constraint.repair(own, largest)
    assert mended is not None and constraint.feasible(np.array([mended]))[0]


def test_limits_that_nothing_keeps_are_named(predictor):
    own = predictor.space
    constraint = LatencyConstraint(predictor, 0.5, others=[CostLimit(own, "parameters", 10)])
    with pytest.raises(InfeasibleLimitError, match=r"of 10 parameters, with 0.5 ms allowed"):
        constraint.require_feasible(own, np.random.default_rng(0))


def test_limits_are_checked(predictor):
    with pytest.raises(RequestError, match="no cost 'flops'; there are parameters, macs"):
        CostLimit(predictor.space, "flops", 1.0)
    with pytest.raises(RequestError, match="positive number, received -1"):
        CostLimit(predictor.space, "macs", -1)
