import math

import numpy as np
import torch

from hwnas.estimators.gradsign import gradsign
from hwnas.nets import Network
from hwnas.spaces.architecture import Architecture


def test_gradsign_by_hand(exact, images, labels, by_hand):
    alone = [by_hand.part(i, i + 1).gradients() for i in range(6)]
    votes = [np.sign(slopes).sum(0) for slopes in zip(*alone, strict=True)]
    assert gradsign(exact, images, labels) == sum(np.abs(vote).sum() for vote in votes)


def test_images_that_agree_give_the_highest_score(exact, images, labels):
    same, one = images[:1].repeat(6, 1, 1, 1), labels[:1].repeat(6)
    single = gradsign(exact, images[:1], labels[:1])
    assert 0 < single <= 12 + 8
    assert gradsign(exact, same, one) == 6 * single > gradsign(exact, images, labels)


def test_one_pixel_is_normalised_by_the_running_statistics(tiny, labels):
    """By its own it would be zero, whatever the weights are."""
    network = Network(Architecture((3, 1, 1), tiny.architecture.blocks))
    found = gradsign(network, torch.randn(6, 3, 1, 1), labels)
    assert math.isfinite(found) and found > 0
