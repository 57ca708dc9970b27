import itertools

import numpy as np
import pytest
import torch

from hwnas.errors import RequestError
from hwnas.search import LatencyConstraint
from hwnas.search.adam import Adam
from hwnas.search.controller import Controller
from hwnas.search.lstm import LstmPolicy
from hwnas.search.table import table_space
from hwnas.spaces.space import Choice, SearchSpace


class Steps:
    """Latency by the sum of the genes, milliseconds."""

    def __init__(self, weight):
        self.weight = weight

    def predict_ms(self, genotypes):
        return 1.0 + self.weight * genotypes.sum(axis=1)

    def bounds_ms(self, genotypes, quantile):
        return self.predict_ms(genotypes), self.predict_ms(genotypes)


def tiny():
    """A choice of two that switches one of three on, and one of two beside them."""
    choices = [
        Choice("depth", (1, 2)),
        Choice("kernel", (3, 5, 7), parent=0, active_from=1),
        Choice("width", (8, 16)),
    ]
    return SearchSpace(
        "tiny", choices, [], input_channels=1, image_sizes=(1,), resolution=None, classes=2
    )


def every(space):
    genes = np.array(list(itertools.product(*map(range, space.cardinalities))))
    return np.unique(space.canonical(genes), axis=0)


@pytest.fixture
def policy():
    """Weights far from 0, in double precision."""
    own = LstmPolicy(tiny(), np.random.default_rng(0), 4)
    rng = np.random.default_rng(1)
    own.parameters = {name: rng.normal(size=value.shape) for name, value in own.parameters.items()}
    return own


def by_torch(policy, genotypes, weights, entropy):
    """Objective and its gradient by torch's own LSTM cell and autograd."""
    own = {k: torch.tensor(v, requires_grad=True) for k, v in policy.parameters.items()}
    units, space = policy.units, policy.space
    # torch's gates are in, forget, cell, out; ours in, keep, out, proposed.
    order = torch.cat([torch.arange(2 * units), *(torch.arange(units) + k * units for k in (3, 2))])
    first = [0, *np.cumsum(space.cardinalities).tolist()]
    active = torch.tensor(space.active(genotypes))
    genes = torch.tensor(genotypes)
    hidden = cell = torch.zeros(len(genotypes), units, dtype=torch.float64)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(space.length):
        seen = own["start"].expand(len(genotypes), -1)
        if i:
            seen = own["embedding"][first[i - 1] + genes[:, i - 1]]
        hidden, cell = torch.lstm_cell(
            seen,
            (hidden, cell),
            own["recurrent"][:units].T[order],
            own["recurrent"][units:].T[order],
            own["recurrent_bias"][order],
        )
        rows = slice(first[i], first[i + 1])
        logs = (hidden @ own["head"][rows].T + own["head_bias"][rows]).log_softmax(dim=1)
        chosen = logs.gather(1, genes[:, i : i + 1])[:, 0]
        spread = -(logs.exp() * logs).sum(dim=1)
        total = total + (active[:, i] * (torch.tensor(weights) * chosen + entropy * spread)).sum()
    total.backward()
    return {name: value.grad.numpy() for name, value in own.items()}


@pytest.mark.parametrize("entropy", [0.0, 0.7])
def test_the_gradient_is_that_of_autograd(policy, entropy):
    genotypes = every(policy.space)
    weights = np.random.default_rng(2).normal(size=len(genotypes))
    expected = by_torch(policy, genotypes, weights, entropy)
    found = policy.gradient(genotypes, weights, entropy)
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-12, err_msg=name)


def test_probabilities_sum_to_one_and_are_those_of_its_samples(policy):
    genotypes = every(policy.space)
    p = np.exp(policy.log_probability(genotypes))
    assert p.sum() == pytest.approx(1)
    count = 40_000
    drawn = policy.sample(np.random.default_rng(3), count)
    assert (policy.space.canonical(drawn) == drawn).all()
    shares = np.array([(drawn == row).all(axis=1).mean() for row in genotypes])
    # Six standard errors: of the eight shares one is off once in some 10^7 seeds.
    np.testing.assert_allclose(shares, p, atol=6 * 0.5 / np.sqrt(count))


def test_the_policy_gradient_is_that_of_the_expected_reward(policy):
    genotypes = every(policy.space)
    reward = np.random.default_rng(4).normal(size=len(genotypes))

    def expected():
        return float(np.exp(policy.log_probability(genotypes)) @ reward)

    p = np.exp(policy.log_probability(genotypes))
    found = policy.gradient(genotypes, p * reward, 0.0)
    for name in ("start", "embedding", "head_bias"):
        parameter, step = policy.parameters[name], 1e-6
        for place in list(np.ndindex(*parameter.shape))[:10]:
            before = parameter[place]
            parameter[place] = before + step
            above = expected()
            parameter[place] = before - step
            below = expected()
            parameter[place] = before
            assert found[name][place] == pytest.approx((above - below) / (2 * step), abs=1e-8)


def test_a_choice_that_does_not_count_has_no_gradient(policy):
    found = policy.gradient(np.array([[0, 0, 1]]), np.array([1.0]), 0.5)
    # The values of the choice "kernel" are rows 2 to 4.
    assert (found["head"][2:5] == 0).all() and (found["head_bias"][2:5] == 0).all()
    assert (found["head"][[0, 1, 5, 6]] != 0).all()


def test_the_entropy_bonus_spreads_a_policy_that_is_sure():
    space = table_space("sure", ["abc"] * 3)
    policy = LstmPolicy(space, np.random.default_rng(0), 8)
    policy.parameters["head_bias"][::3] += 4.0
    adam = Adam(policy.parameters, 0.03)
    before = np.exp(policy.log_probability(every(space)))
    rng = np.random.default_rng(1)
    for _ in range(300):
        drawn = policy.sample(rng, 4)
        adam.step(policy.gradient(drawn, np.zeros(4), 0.25))
    after = np.exp(policy.log_probability(every(space)))
    assert before.max() > 0.8
    np.testing.assert_allclose(after, 1 / 27, atol=0.02)


def test_it_learns_what_goes_together():
    # Equal neighbours are what counts: no single choice is good or bad by itself.
    space = table_space("pairs", ["ab"] * 10)
    strategy = Controller(space, LatencyConstraint(Steps(0.0), 2.0), 0, rate=0.03)
    for _ in range(150):
        for genotype in strategy.ask(1):
            row = np.array(genotype)
            strategy.tell(genotype, float((row[1:] == row[:-1]).sum()))
    drawn = strategy.policy.sample(np.random.default_rng(0), 500)
    assert (drawn[:, 1:] == drawn[:, :-1]).mean() > 0.8


def test_a_steep_reward_leaves_the_infeasible_region():
    space = table_space("slow", ["abcd"] * 6)
    constraint = LatencyConstraint(Steps(1.0), 7.0)
    strategy = Controller(space, constraint, 0, exponent=1.0)
    before = constraint.feasible(strategy.policy.sample(np.random.default_rng(0), 2000))
    noise = np.random.default_rng(3)
    for _ in range(150):
        for genotype in strategy.ask(1):
            strategy.tell(genotype, float(noise.normal()))
    after = constraint.feasible(strategy.policy.sample(np.random.default_rng(0), 2000))
    assert before.mean() < 0.4 < 0.7 < after.mean()


def test_its_size_is_checked():
    with pytest.raises(RequestError, match="units must be at least 1, received 0"):
        Controller(table_space("one", ["ab"]), LatencyConstraint(Steps(0.0), 2.0), 0, units=0)
