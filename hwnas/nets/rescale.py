"""Weights before batch norms at the size of new ones, which changes how they learn only."""

import torch

from hwnas.nets.layers import live_nodes
from hwnas.nets.network import Network
from hwnas.spaces.layers import BatchNorm, Conv2d


@torch.no_grad()
def rescale(network: Network, fresh: Network) -> None:
    """Bring convolutions that only batch norms read to the norm that new ones have.

    What such a network computes does not depend on these norms (but for the epsilon of
    the batch norms); how far a step turns a weight falls with the square of its norm (van
    Laarhoven, 2017). Weights from elsewhere that are larger than new ones would hardly be trained.

    Args:
        network: Changed in place: weights, and the running statistics behind them.
        fresh: A new network of the same architecture.
    """
    for position, item in enumerate(network.architecture.placed):
        nodes = live_nodes(item.graph)
        for node in nodes:
            readers = [other for other in nodes if node.name in other.inputs]
            norms = readers and all(isinstance(other.layer, BatchNorm) for other in readers)
            if not (norms and isinstance(node.layer, Conv2d)) or node.layer.bias:
                continue
            name = f"blocks.{position}.{node.name}.weight"
            weight = network.get_parameter(name)
            size = weight.norm()
            if size == 0:
                continue
            factor = fresh.get_parameter(name).norm() / size
            weight.mul_(factor)
            for other in readers:
                path = f"blocks.{position}.{other.name}"
                network.get_buffer(f"{path}.running_mean").mul_(factor)
                network.get_buffer(f"{path}.running_var").mul_(factor**2)
