"""A graph hypernetwork: all weights of a network from its architecture, in one pass."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hwnas.errors import SpecError
from hwnas.nets.hypernet_decoder import Decoder
from hwnas.nets.hypernet_gnn import GatedGraphNetwork
from hwnas.nets.hypernet_graph import graph_of
from hwnas.nets.layers import apply_layer, run_graph
from hwnas.nets.network import Network
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.graph import Node

HIDDEN, CHANNELS, KERNEL = 32, 64, 7

Weights = dict[str, Tensor]
"""Parameters by their names in :class:`~hwnas.nets.network.Network`."""


class Hypernetwork(nn.Module):
    """Predicts the weights of architectures (Zhang et al., 2019; Knyazev et al., 2021).

    A gated graph network passes states along the layers (:mod:`hwnas.nets.hypernet_gnn`),
    a decoder makes weights of them (:mod:`hwnas.nets.hypernet_decoder`). Running statistics
    of batch norms are not predicted.

    Args:
        classes: Outputs of the classifiers.
        hidden: Numbers in a node's state.
        channels: Channels of the largest kernel; convolutions of more repeat it, and so
            have filters that are the same.
        kernel: Height and width of the largest kernel, pixels, odd.
        seed: Seed of the initial weights.

    Raises:
        SpecError: A size is out of range.
    """

    def __init__(
        self,
        classes: int,
        *,
        hidden: int = HIDDEN,
        channels: int = CHANNELS,
        kernel: int = KERNEL,
        seed: int = 0,
    ) -> None:
        super().__init__()
        sizes = {"classes": classes, "hidden": hidden, "channels": channels, "kernel": kernel}
        for name, value in sizes.items():
            least = 1 if name == "kernel" else 2
            if value < least:
                raise SpecError(f"hypernetwork: {name} must be at least {least}, received {value}")
        if kernel % 2 == 0:
            raise SpecError(f"hypernetwork: kernel must be odd, received {kernel}")
        generator = torch.Generator().manual_seed(seed)
        # torch's modules draw from the global generator before they are drawn anew here.
        with torch.random.fork_rng(devices=[]):
            self.states = GatedGraphNetwork(hidden, generator)
            self.decoder = Decoder(hidden, classes, channels, kernel, generator)

    def forward(self, architectures: Sequence[Architecture]) -> list[Weights]:
        """All parameters of each architecture that its output depends on.

        Args:
            architectures: At least one, each of at least one block.
        """
        graphs = [graph_of(architecture) for architecture in architectures]
        states = self.states(graphs)
        wanted, start = [], 0
        for graph in graphs:
            wanted += [replace(own, node=own.node + start) for own in graph.parameters]
            start += len(graph.kinds)
        decoded = iter(self.decoder(states, wanted))
        return [{own.name: next(decoded) for own in graph.parameters} for graph in graphs]

    @torch.no_grad()
    def network(self, architecture: Architecture, *, seed: int = 0) -> Network:
        """A network of its own with the predicted weights.

        Its batch norms have no statistics yet: estimate them with
        :func:`hwnas.training.recalibrate.recalibrate` before it is evaluated.

        Args:
            architecture: What to build.
            seed: Seed of weights that the output does not depend on, which are not predicted.

        Raises:
            SpecError: The architecture has no blocks, or cannot be built.
        """
        network = Network(architecture, seed=seed)
        (weights,) = self([architecture])
        for name, value in weights.items():
            network.get_parameter(name).copy_(value)
        return network


def run_with(architecture: Architecture, weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Logits ``(N, classes)`` of an architecture with weights that are given.

    Norms use the statistics of the batch. Gradients flow to the weights.

    Args:
        architecture: What to compute.
        weights: As :class:`Hypernetwork` gives them.
        images: ``(N, C, H, W)``.
    """
    output = images
    for position, item in enumerate(architecture.placed):
        graph = item.graph

        def compute(
            node: Node, inputs: Sequence[Tensor], start: str = f"blocks.{position}"
        ) -> Tensor:
            shapes = node.layer.parameter_shapes(*(tuple(own.shape[1:]) for own in inputs))
            own = {name: weights[f"{start}.{node.name}.{name}"] for name in shapes}
            return apply_layer(node.layer, inputs, own)

        output = run_graph(graph, output, compute)
    return output
