import numpy as np
import pytest

from hwnas.estimators.grad_norm import grad_norm


def test_gradient_norm_by_hand(exact, images, labels, by_hand):
    expected = sum(np.linalg.norm(slope) for slope in by_hand.gradients())
    assert grad_norm(exact, images, labels) == pytest.approx(expected, rel=1e-9)


def test_layers_are_summed_and_not_their_squares(exact, images, labels, by_hand):
    together = np.linalg.norm(np.concatenate([slope.ravel() for slope in by_hand.gradients()]))
    assert grad_norm(exact, images, labels) > 1.01 * together
