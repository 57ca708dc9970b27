"""Fixtures: networks whose every number matters, and how far two networks are deviation."""

import pytest
import torch

from hwnas.nets import Network


@pytest.fixture
def trained():
    """Networks with weights, biases and running statistics as trained ones have them."""

    def make(architecture, seed=0):
        network = Network(architecture, seed=seed).eval()
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, value in network.state_dict().items():
                noise = torch.randn(value.shape, generator=generator)
                if name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
                    value.copy_(1 + 0.5 * torch.tanh(noise))
                elif name.endswith(("bias", "running_mean")):
                    value.copy_(0.3 * noise)
                elif ".linear." in name:
                    value.copy_(0.3 * noise)
        return network

    return make


@pytest.fixture
def deviation():
    """The largest difference of the outputs of two networks, by the largest output, at least 1."""

    def measure(left, right, seed=0):
        shape = right.architecture.input_shape
        images = torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))
        with torch.no_grad():
            before, after = left(images), right(images)
        return float((before - after).abs().max() / before.abs().max().clamp_min(1))

    return measure
