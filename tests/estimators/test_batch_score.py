import pickle

import numpy as np
import pytest
import torch
from torch.nn import functional

from hwnas.errors import DataError
from hwnas.estimators import Budget
from hwnas.estimators.batch_score import distinct_images, loss_gradients, trace
from hwnas.estimators.snip import SnipScore, snip
from hwnas.nets import Network
from hwnas.spaces import space
from hwnas.training.images import ImageData, Split


def test_gradients_by_hand(exact, images, labels, by_hand):
    found = trace(exact, images)
    for slope, expected in zip(
        loss_gradients(found, labels, found.weights), by_hand.gradients(), strict=True
    ):
        assert np.allclose(slope.numpy().reshape(expected.shape), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["mobilenet-32", "vit-32"])
def test_gradients_are_those_of_training(name):
    own = space(f"{name}:classes=2,image_size=16")
    network = Network(own.decode(own.sample(np.random.default_rng(0), 1)[0].tolist())).double()
    torch.manual_seed(0)
    images, labels = torch.randn(4, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 1, 1, 0])
    channels, height, width = network.architecture.input_shape
    images = images[:, :channels, :height, :width]
    found = trace(network, images)
    slopes = loss_gradients(found, labels, found.weights)
    network.train()
    functional.cross_entropy(network(images), labels).backward()
    # What is neither a bias nor a norm, a class token or the positions.
    weights = [
        value
        for path, value in network.named_parameters()
        if path.endswith("weight")
        and ".bn." not in path
        and "norm." not in path
        and "token." not in path
        and "positions." not in path
    ]
    assert len(weights) == len(slopes) == len(found.outputs)
    for weight, slope in zip(weights, slopes, strict=True):
        assert torch.allclose(slope, weight.grad, rtol=1e-6, atol=1e-9)


def test_weights_that_cannot_be_trained_are_scored_too(exact, images, labels):
    expected = snip(exact, images, labels)
    assert snip(exact.requires_grad_(False), images, labels) == expected


def test_distinct_images(data):
    assert sorted(distinct_images(data, 100, 0)) == list(range(24))
    data.train.images[:20] = data.train.images[0]
    assert len(distinct_images(data, 100, 0)) == 5


def test_provenance_and_data_that_do_not_fit(data, tiny):
    own = SnipScore(data, seed=3, batch_size=6)
    found = own.estimate(tiny.architecture, Budget())
    assert found.provenance == {"estimator": "snip", "data": "noise", "seed": 3, "images": 6}
    again = pickle.loads(pickle.dumps(own)).estimate(tiny.architecture, Budget())
    assert again.value == found.value
    three = space("resnet-32:classes=3,image_size=16")
    with pytest.raises(DataError, match="classes=2"):
        own.estimate(three.decode([0] * three.length), Budget())
    parts = (data.train, data.validation, data.test)
    pairs = (Split(part.images.repeat(2, 1), part.labels) for part in parts)
    with pytest.raises(DataError, match="images of 2 channels"):
        SnipScore(ImageData("two", 2, ("a", "b"), *pairs)).estimate(tiny.architecture, Budget())


def test_the_value_is_that_of_the_images_and_their_labels(data, tiny):
    index = distinct_images(data, 6, 3)
    images = data.tensor("train", (4, 4), 3)[index]
    network = Network(tiny.architecture, seed=3)
    found = SnipScore(data, seed=3, batch_size=6).estimate(tiny.architecture, Budget())
    assert found.value == snip(network, images, data.labels("train")[index])
