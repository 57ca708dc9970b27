import math

import numpy as np
import pytest
import torch

from hwnas.estimators.synflow import synflow


def test_synflow_by_hand(tiny):
    weights = [abs(v.detach().numpy().astype(float)) for v in tiny.parameters() if v.ndim > 1]
    conv, linear = weights[0][:, :, 0, 0], weights[1]
    # The output is linear in each of the two, so each one's sum of weight times slope is it.
    assert synflow(tiny) == pytest.approx(math.log(2 * (linear @ conv @ np.ones(3)).sum()))


def test_the_network_is_left_as_it_was(tiny):
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    synflow(tiny)
    after = tiny.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(value.grad is None for value in tiny.parameters())


def test_signs_and_batch_norm_do_not_count(tiny):
    expected = synflow(tiny)
    with torch.no_grad():
        for name, value in tiny.named_parameters():
            value.mul_(7 if ".bn." in name else -1)
    assert synflow(tiny) == pytest.approx(expected, rel=1e-12)


def test_the_score_grows_with_the_logarithm_of_the_weights(tiny):
    expected = synflow(tiny) + math.log(1000)
    with torch.no_grad():
        next(iter(tiny.parameters())).mul_(1000)
    # The bias of the linear layer is zero; both terms of the sum grow by the same factor.
    assert synflow(tiny) == pytest.approx(expected, rel=1e-6)


def test_a_network_that_passes_nothing_on_has_the_lowest_score(tiny):
    with torch.no_grad():
        for value in tiny.parameters():
            value.zero_()
    assert synflow(tiny) == -math.inf
