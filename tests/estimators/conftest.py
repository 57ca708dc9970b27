"""Fixtures: a few images of noise, and a network that can be computed by hand."""

import numpy as np
import pytest

from hwnas.nets import Network
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.blocks import BlockSpec
from hwnas.training.images import ImageData, Split


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
