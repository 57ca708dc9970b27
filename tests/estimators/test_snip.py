import numpy as np
import pytest
import torch

from hwnas.estimators.snip import snip


def test_snip_by_hand(exact, images, labels, by_hand):
    pairs = zip(by_hand.weights, by_hand.gradients(), strict=True)
    expected = sum(np.abs(weight * slope).sum() for weight, slope in pairs)
    assert snip(exact, images, labels) == pytest.approx(expected, rel=1e-9)


def test_the_size_of_weights_before_batch_norm_does_not_count(exact, images, labels):
    expected = snip(exact, images, labels)
    with torch.no_grad():
        exact.get_parameter("blocks.0.conv.conv.weight").mul_(7)
    # But for batch norm's epsilon, 1e-5 against variances of about one.
    assert snip(exact, images, labels) == pytest.approx(expected, rel=1e-3)
