import itertools
import json
import math

import numpy as np
import pytest
import torch

from hwnas.errors import RequestError
from hwnas.search import LatencyConstraint
from hwnas.search.adam import Adam
from hwnas.search.reinforce import CategoricalPolicy, Reinforce
from hwnas.search.reward import DEPTH, Reward, RunningMean
from hwnas.search.table import table_space
from hwnas.spaces.space import Choice, SearchSpace


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


def probability(policy, genotypes):
    p = policy.probabilities()
    active = policy.space.active(genotypes)
    own = np.arange(policy.space.length)
    return np.where(active, p[own, genotypes], 1.0).prod(axis=1)


def moved(policy, seed=0):
    shape = policy.parameters["logits"].shape
    policy.parameters["logits"][...] = np.random.default_rng(seed).normal(size=shape)
    return policy


def slope(parameter, of, step=1e-6):
    """Central differences of a function by each number of an array."""
    found = np.zeros(parameter.shape)
    for place in np.ndindex(*parameter.shape):
        before = parameter[place]
        parameter[place] = before + step
        above = of()
        parameter[place] = before - step
        found[place] = (above - of()) / (2 * step)
        parameter[place] = before
    return found


def test_the_policy_gradient_is_that_of_the_expected_reward():
    policy = moved(CategoricalPolicy(tiny()))
    genotypes = every(policy.space)
    reward = np.random.default_rng(1).normal(size=len(genotypes))
    assert probability(policy, genotypes).sum() == pytest.approx(1)
    exact = slope(
        policy.parameters["logits"], lambda: float(probability(policy, genotypes) @ reward)
    )
    p = probability(policy, genotypes)
    found = policy.gradient(genotypes, p * reward, 0.0)["logits"]
    np.testing.assert_allclose(found, exact, atol=1e-9)
    # A baseline changes nothing in expectation.
    shifted = policy.gradient(genotypes, p * (reward - 5.0), 0.0)["logits"]
    np.testing.assert_allclose(shifted, exact, atol=1e-9)


def test_drawn_genotypes_estimate_it():
    policy = moved(CategoricalPolicy(tiny()))
    genotypes = every(policy.space)
    reward = {tuple(row): value for row, value in zip(genotypes.tolist(), range(99), strict=False)}
    count = 100_000
    drawn = policy.sample(np.random.default_rng(2), count)
    values = np.array([reward[tuple(row)] for row in drawn.tolist()], dtype=float)
    found = policy.gradient(drawn, (values - 3.0) / count, 0.0)["logits"]
    p = probability(policy, genotypes)
    exact = policy.gradient(genotypes, p * np.arange(len(genotypes)), 0.0)["logits"]
    # Ten standard errors, at most 6 / sqrt(100,000) each.
    np.testing.assert_allclose(found, exact, atol=10 * 6 / math.sqrt(count))


def test_choices_that_do_not_count_do_not_move():
    policy = moved(CategoricalPolicy(tiny()))
    gradient = policy.gradient(np.array([[0, 0, 1]]), np.array([1.0]), 0.5)["logits"]
    assert (gradient[1] == 0).all()
    assert (gradient[[0, 2], :2] != 0).all() and (gradient[[0, 2], 2] == 0).all()


def test_the_entropy_bonus_climbs_the_entropy():
    policy = moved(CategoricalPolicy(table_space("t", [("a", "b", "c"), ("a", "b")])))

    def entropy():
        p = policy.probabilities()
        return float(-(p * np.log(np.where(p > 0, p, 1.0))).sum())

    exact = slope(policy.parameters["logits"], entropy)
    found = policy.gradient(np.array([[0, 0]]), np.zeros(1), 1.0)["logits"]
    np.testing.assert_allclose(found, exact, atol=1e-8)
    adam = Adam(policy.parameters, 0.05)
    for _ in range(400):
        adam.step(policy.gradient(np.array([[0, 0]]), np.zeros(1), 1.0))
    np.testing.assert_allclose(policy.probabilities()[0], 1 / 3, atol=1e-2)


class Steps:
    """Latency by a weight of each gene, milliseconds."""

    def __init__(self, weights):
        self.weights = np.array(weights)

    def predict_ms(self, genotypes):
        return 1.0 + genotypes @ self.weights

    def bounds_ms(self, genotypes, quantile):
        return self.predict_ms(genotypes), self.predict_ms(genotypes)


def played(kind, space, constraint, value, asks=120, seed=0, **settings):
    strategy = kind(space, constraint, seed, **settings)
    for _ in range(asks):
        for genotype in strategy.ask(1):
            strategy.tell(genotype, value(genotype))
    return strategy


def test_it_converges_to_the_best_arms():
    space = table_space("arms", ["abcde"] * 8)
    constraint = LatencyConstraint(Steps([0.0] * 8), 2.0)
    best = np.array([3, 0, 2, 4, 1, 1, 3, 0])
    strategy = played(
        Reinforce, space, constraint, lambda g: float((np.array(g) == best).sum()), asks=300
    )
    p = strategy.policy.probabilities()
    assert (p.argmax(axis=1) == best).all()
    assert max(strategy.told.values()) == 8


def test_a_steep_reward_leaves_the_infeasible_region():
    space = table_space("slow", ["abcd"] * 6)
    # Accuracies tell nothing: only the limit can move the policy.
    constraint = LatencyConstraint(Steps([1.0] * 6), 7.0)
    noise = np.random.default_rng(3)
    strategy = played(
        Reinforce, space, constraint, lambda g: float(noise.normal()), asks=150, exponent=1.0
    )
    before = constraint.feasible(CategoricalPolicy(space).sample(np.random.default_rng(0), 2000))
    after = constraint.feasible(strategy.policy.sample(np.random.default_rng(0), 2000))
    assert before.mean() < 0.3 < 0.8 < after.mean()


def test_rewards_by_hand():
    reward = Reward(decay=0.5, exponent=1.0)
    for value in (10.0, 14.0, math.nan, -math.inf):
        reward.judged(value)
    # Shares of the first two values: 1/3 and 2/3.
    assert reward.accuracy.mean == pytest.approx(10 / 3 + 28 / 3)
    spread = math.sqrt(1 / 3 * 2 / 3 * 16)
    assert math.sqrt(reward.accuracy.variance) == pytest.approx(spread)
    mean = reward.accuracy.mean
    values = np.array([mean + spread, mean, math.inf, math.nan, mean - 99.0, mean])
    excess = np.array([0.5, 1.0, 2.0, 0.5, 0.5, math.inf])
    found = reward(values, excess)
    np.testing.assert_allclose(found, [DEPTH + 1, DEPTH, DEPTH / 2, 0.0, 0.0, 0.0])


def test_rewards_know_no_unit():
    found = []
    for scale, shift in ((1.0, 0.0), (100.0, -7.0)):
        reward = Reward(0.9, 1.0)
        values = scale * np.array([0.4, 0.7, 0.5, 0.9]) + shift
        for value in values:
            reward.judged(float(value))
        found.append(reward(values, np.ones(4)))
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_a_running_mean_is_exact_for_what_does_not_vary():
    own = RunningMean(0.9)
    for _ in range(5):
        own.add(0.1)
    assert own.mean == 0.1 and own.variance == 0.0


def test_the_first_advantages_compare_with_each_other():
    reward = Reward(0.9, 1.0)
    np.testing.assert_allclose(reward.advantage(np.array([1.0, 3.0])), [-1.0, 1.0])
    assert reward.advantage(np.array([2.0]))[0] == pytest.approx(2.0 - reward.baseline.mean, abs=1)


def test_adam_against_torch():
    rng = np.random.default_rng(0)
    own = {"w": rng.normal(size=(3, 2))}
    other = torch.tensor(own["w"].copy(), requires_grad=True)
    adam, reference = Adam(own, 0.03), torch.optim.Adam([other], lr=0.03, maximize=True)
    for _ in range(20):
        gradient = rng.normal(size=(3, 2))
        adam.step({"w": gradient})
        other.grad = torch.tensor(gradient)
        reference.step()
    np.testing.assert_allclose(own["w"], other.detach().numpy(), rtol=1e-10)


def test_what_is_known_teaches_without_being_judged_again():
    space = table_space("two", ["ab", "ab"])
    strategy = Reinforce(space, LatencyConstraint(Steps([0.0, 0.0]), 2.0), 0)
    asked = []
    for _ in range(6):
        for genotype in strategy.ask(1):
            asked.append(genotype)
            strategy.tell(genotype, float(sum(genotype)))
    assert len(asked) == len(set(asked)) == 4
    steps = json.loads(json.dumps(strategy.state_dict()))["adam"]["steps"]
    assert steps > 4


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"rate": 0.0}, "rate must be a positive number"),
        ({"rate": math.inf}, "rate must be a positive number"),
        ({"decay": 1.0}, "decay must be from 0 to below 1"),
        ({"entropy": -0.1}, "entropy must be 0 or a positive number"),
        ({"exponent": math.nan}, "exponent must be 0 or a positive number"),
    ],
)
def test_settings_are_checked(settings, match):
    constraint = LatencyConstraint(Steps([0.0]), 2.0)
    with pytest.raises(RequestError, match=match):
        Reinforce(table_space("one", ["ab"]), constraint, 0, **settings)
