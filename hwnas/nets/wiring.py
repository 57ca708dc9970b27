"""All layers of a network in one graph, so that a rule can look across blocks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from hwnas.nets.layers import live_nodes
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.graph import INPUT
from hwnas.spaces.layers import Layer, Shape

IMAGE = "image"
"""Name of the tensor that a network receives."""


@dataclass(frozen=True)
class Wired:
    """One layer of a network; its name is also that of the tensor that it computes.

    Args:
        name: ``<block>.<name in the block>``.
        block: Position of its block.
        local: Its name in the block.
        layer: What it computes.
        inputs: Names of the tensors that it reads.
        input_shapes: Their shapes.
        shape: Shape of its output.
    """

    name: str
    block: int
    local: str
    layer: Layer
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    shape: Shape

    @property
    def parameter_shapes(self) -> dict[str, Shape]:
        """Shapes of its trained parameters, by name."""
        return self.layer.parameter_shapes(*self.input_shapes)


@dataclass(frozen=True)
class Wiring:
    """The layers of a network that its output depends on, in topological order.

    Args:
        architecture: The network's architecture.
        nodes: Its layers.
        outputs: The tensor that each block gives.
    """

    architecture: Architecture
    nodes: tuple[Wired, ...]
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, architecture: Architecture) -> "Wiring":
        """The layers of an architecture.

        Raises:
            SpecError: It cannot be built.
        """
        nodes, outputs, tensor = [], [], IMAGE
        for position, placed in enumerate(architecture.placed):
            graph = placed.graph
            names = {INPUT: tensor}
            for node in live_nodes(graph):
                name = names[node.name] = f"{position}.{node.name}"
                nodes.append(
                    Wired(
                        name,
                        position,
                        node.name,
                        node.layer,
                        tuple(names[item] for item in node.inputs),
                        graph.node_input_shapes(node),
                        graph.shapes[node.name],
                    )
                )
            tensor = names[graph.output]
            outputs.append(tensor)
        return cls(architecture, tuple(nodes), tuple(outputs))

    @property
    def output(self) -> str:
        """The tensor that the network gives."""
        return self.outputs[-1]

    @cached_property
    def by_name(self) -> Mapping[str, Wired]:
        """The layers by name."""
        return {node.name: node for node in self.nodes}

    def input_of(self, block: int) -> str:
        """The tensor that a block receives."""
        return self.outputs[block - 1] if block else IMAGE

    def block(self, position: int) -> tuple[Wired, ...]:
        """The layers of one block."""
        return tuple(node for node in self.nodes if node.block == position)

    def shape(self, tensor: str) -> Shape:
        """Shape of a tensor, without batch."""
        if tensor == IMAGE:
            return self.architecture.input_shape
        return self.by_name[tensor].shape


def channels(shape: Shape) -> int:
    """Number of channels of an image or features of tokens or a vector."""
    return shape[1] if len(shape) == 2 else shape[0]
