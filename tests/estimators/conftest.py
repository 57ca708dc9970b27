"""Fixtures: a few images of noise, and a network that can be computed by hand."""

import numpy as np
import pytest
import torch

from hwnas.nets import Network
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.training.images import ImageData, Split

STEP = 1e-30
"""Of derivatives by complex numbers, which lose no digits however small it is."""


def split(count, seed):
    images = np.random.default_rng(seed).random((count, 1, 8, 8)).astype(np.float32)
    return Split(images, np.arange(count, dtype=np.int64) % 2)


@pytest.fixture
def data():
    return ImageData("noise", 2, ("a", "b"), split(24, 0), split(8, 1), split(8, 2))


@pytest.fixture
def tiny():
    """A 1x1 convolution to 4 channels, batch norm, ReLU, mean over the image, linear."""
    conv = BlockSpec.of("conv", channels=4, kernel=1, stride=1, activation="relu")
    specs = (conv, BlockSpec.of("classifier", classes=2))
    return Network(Architecture((3, 4, 4), specs), seed=1)


def conv_norm_relu(images, conv, stretch=1.0):
    """The first block of ``tiny`` in numpy, its convolution's outputs times ``stretch``."""
    hidden = np.einsum("oc,nchw->nohw", conv, images) * stretch
    centred = hidden - hidden.mean((0, 2, 3), keepdims=True)
    normed = centred / np.sqrt((centred**2).mean((0, 2, 3), keepdims=True) + 1e-5)
    return np.where(normed.real > 0, normed, 0)


class ByHand:
    """The network ``tiny`` in numpy, double precision; derivatives by complex steps."""

    def __init__(self, weights, images, labels):
        self.weights, self.images, self.labels = weights, images, labels

    def part(self, start, stop):
        """The same for some of the images, which batch norm then sees alone."""
        return ByHand(self.weights, self.images[start:stop], self.labels[start:stop])

    def logits(self, weights, images=None, stretch=1.0):
        images = self.images if images is None else images
        return conv_norm_relu(images, weights[0], stretch).mean((2, 3)) @ weights[1].T

    def loss(self, logits):
        """The mean cross-entropy."""
        right = logits[np.arange(len(logits)), self.labels]
        return (np.log(np.exp(logits).sum(1)) - right).mean()

    def gradients(self, weights=None):
        weights = self.weights if weights is None else weights
        return [
            derivative(lambda value, i=i: self.loss(self.logits(replaced(weights, i, value))), own)
            for i, own in enumerate(weights)
        ]


def replaced(items, index, value):
    return [*items[:index], value, *items[index + 1 :]]


def derivative(function, at):
    """The derivatives of a real function by each element of an array."""
    found = np.zeros(at.shape)
    for place in np.ndindex(at.shape):
        moved = at.astype(complex)
        moved[place] += 1j * STEP
        found[place] = function(moved).imag / STEP
    return found


@pytest.fixture
def images():
    return torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def labels():
    return torch.tensor([0, 1, 1, 0, 1, 0])


@pytest.fixture
def exact(tiny):
    """``tiny`` in double precision, its classifier large enough for the loss to bend."""
    with torch.no_grad():
        tiny.get_parameter("blocks.1.linear.weight").mul_(100)
    return tiny.double()


@pytest.fixture
def by_hand(exact, images, labels):
    conv, linear = (v.detach().numpy().copy() for v in exact.parameters() if v.ndim > 1)
    return ByHand([conv[:, :, 0, 0], linear], images.numpy(), labels.numpy())


@pytest.fixture
def by_complex_steps():
    return derivative


@pytest.fixture
def first_block():
    return conv_norm_relu
