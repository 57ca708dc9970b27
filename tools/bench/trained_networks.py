"""Networks that stand for trained ones, and how far two are apart: for the bench and the tests."""

import torch

from hwnas.nets import Network
from hwnas.spaces import Architecture


@torch.no_grad()
def trained(architecture: Architecture, seed: int = 0) -> Network:
    """A network with weights, biases and statistics as trained ones have them: all matter."""
    network = Network(architecture, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
            value.copy_(1 + 0.5 * torch.tanh(noise))
        elif name.endswith(("bias", "running_mean")) or ".linear." in name:
            value.copy_(0.3 * noise)
    return network


@torch.no_grad()
def deviation(parent: Network, child: Network, seed: int = 0) -> float:
    """The largest difference of two networks' logits on noise, by the largest, at least 1."""
    shape = child.architecture.input_shape
    images = torch.randn(4, *shape, generator=torch.Generator().manual_seed(seed))
    before, after = parent(images), child(images)
    return float((before - after).abs().max() / before.abs().max().clamp_min(1))
