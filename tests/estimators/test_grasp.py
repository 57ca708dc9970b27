import pytest

from hwnas.estimators.grasp import grasp

STEP = 1e-5


def test_grasp_by_hand(exact, images, labels, by_hand):
    slopes = by_hand.gradients()

    def moved(step):
        pairs = zip(by_hand.weights, slopes, strict=True)
        return by_hand.gradients([weight + step * slope for weight, slope in pairs])

    # Hg is how the gradient changes along itself.
    changes = zip(by_hand.weights, moved(STEP), moved(-STEP), strict=True)
    expected = -sum((own * (up - down) / (2 * STEP)).sum() for own, up, down in changes)
    assert abs(expected) > 1e-3
    assert grasp(exact, images, labels) == pytest.approx(expected, rel=1e-5)
