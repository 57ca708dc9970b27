import numpy as np
import pytest

from hwnas.export.bags import SpaceBags
from hwnas.profiling.choice import NOISE, REACH, most_telling, network_features
from hwnas.spaces import space


def left_variance(features, chosen):
    """The sum of posterior variances of a Gaussian process, by its textbook formula."""
    unit = (features - features.mean(axis=0)) / features.std(axis=0)
    distance = ((unit[:, None] - unit[None]) ** 2).sum(axis=2)
    prior = np.exp(-distance / (2 * REACH**2 * features.shape[1]))
    if not chosen:
        return float(len(features))
    cross, own = prior[:, chosen], prior[np.ix_(chosen, chosen)]
    gain = cross @ np.linalg.solve(own + NOISE * np.eye(len(chosen)), cross.T)
    return float(np.trace(prior - gain))


def test_each_choice_lowers_the_variance_that_is_left_most():
    features = np.random.default_rng(0).normal(size=(30, 3))
    chosen = most_telling(features, 5)
    for position, best in enumerate(chosen):
        before = chosen[:position]
        left = {i: left_variance(features, [*before, i]) for i in set(range(30)) - set(before)}
        assert left[best] == pytest.approx(min(left.values()), abs=1e-9)


def test_a_longer_choice_goes_on_with_a_shorter_one_and_takes_none_twice():
    features = np.random.default_rng(1).normal(size=(20, 4))
    assert most_telling(features, 20)[:7] == most_telling(features, 7)
    assert sorted(most_telling(features, 99)) == list(range(20))
    # What does not vary tells nothing, and breaks nothing.
    assert sorted(most_telling(np.ones((3, 2)), 3)) == [0, 1, 2]


def test_the_features_of_a_network_are_those_of_its_blocks_together():
    bags = SpaceBags(space("resnet-32"), "simulated")
    genotypes = bags.space.sample(np.random.default_rng(0), 3)
    features = network_features(bags, genotypes)
    for row, genotype in zip(features, genotypes, strict=True):
        blocks = [i for i in bags.block_indices(genotype[None])[0] if i >= 0]
        kernels = sum(bags.kernels[i].total() for i in blocks)
        assert np.isclose(row, np.log(kernels + 1)).any()
        assert np.isfinite(row).all()
