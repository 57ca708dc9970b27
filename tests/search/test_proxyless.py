import itertools

import numpy as np
import pytest
import torch

from hwnas.search.proxyless import pair_weight


@pytest.mark.parametrize("values", [2, 3, 5])
def test_the_compared_pairs_give_the_gradient_of_the_whole_softmax(values):
    rng = np.random.default_rng(values)
    p = rng.dirichlet(np.ones(values))
    losses = rng.normal(size=values)
    mean = np.zeros(values)
    for i, j in itertools.permutations(range(values), 2):
        # The path has i with p_i, and the other value is drawn from the rest.
        probability = p[i] * p[j] / (1 - p[i])
        step = (losses[i] - losses[j]) * pair_weight(torch.from_numpy(p), i, j)
        mean[i] += probability * step
        mean[j] -= probability * step
    np.testing.assert_allclose(mean, p * (losses - p @ losses), atol=1e-12)


def test_a_certain_value_is_moved_by_no_pair():
    assert pair_weight(torch.tensor([1.0, 0.0, 0.0]), 0, 1) == 0
