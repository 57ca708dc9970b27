import math

import numpy as np
import pytest
import torch

from hwnas.errors import SpecError
from hwnas.estimators.zico import zico


def expected(runs):
    total = 0.0
    for slopes in zip(*runs, strict=True):
        spread = np.std(slopes, axis=0)
        total += math.log((np.mean(np.abs(slopes), axis=0)[spread > 0] / spread[spread > 0]).sum())
    return total


@pytest.mark.parametrize("batches", [2, 3])
def test_zico_by_hand(exact, images, labels, by_hand, batches):
    size = 6 // batches
    runs = [by_hand.part(i, i + size).gradients() for i in range(0, 6, size)]
    assert zico(exact, images, labels, batches=batches) == pytest.approx(expected(runs), rel=1e-9)


def test_weights_whose_gradient_does_not_vary_are_left_out(exact, images, labels, by_hand):
    """No gradient passes a channel that ReLU closes."""
    with torch.no_grad():
        exact.get_parameter("blocks.0.conv.bn.bias")[2] = -100
    conv, linear = by_hand.weights
    found = zico(exact, images, labels)

    def without(hand):
        slopes = hand.gradients([np.delete(conv, 2, 0), np.delete(linear, 2, 1)])
        return slopes

    runs = [without(by_hand.part(0, 3)), without(by_hand.part(3, 6))]
    assert found == pytest.approx(expected(runs), rel=1e-9)


def test_batches_that_repeat_have_no_score(exact, images, labels):
    same = torch.cat([images[:3], images[:3]])
    assert zico(exact, same, torch.cat([labels[:3], labels[:3]])) == -math.inf


@pytest.mark.parametrize("batches", [1, 7])
def test_numbers_of_batches_that_say_nothing_are_refused(exact, images, labels, batches):
    with pytest.raises(SpecError, match=f"2 to the number of images, 6; received {batches}"):
        zico(exact, images, labels, batches=batches)
