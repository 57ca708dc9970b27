"""A block as a small directed graph of primitive layers, and the builder that writes it."""

import math
from dataclasses import dataclass
from functools import cached_property

from hwnas.errors import ShapeError, SpecError
from hwnas.spaces.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2d,
    GlobalAveragePool,
    Layer,
    Scale,
    Shape,
)

INPUT = "input"


@dataclass(frozen=True)
class Node:
    """One layer in a graph: its name, the layer, and the names that it reads."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class LayerGraph:
    """Layers in topological order; the last node is the output.

    Args:
        input_shape: Shape of the single input, without batch.
        nodes: The layers; each reads ``"input"`` or nodes before it.
    """

    input_shape: Shape
    nodes: tuple[Node, ...]

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of every tensor, by the name of the node that computes it."""
        known: dict[str, Shape] = {INPUT: self.input_shape}
        for node in self.nodes:
            known[node.name] = node.layer.output_shape(*(known[name] for name in node.inputs))
        return known

    @property
    def output(self) -> str:
        """Name of the output tensor."""
        return self.nodes[-1].name if self.nodes else INPUT

    @property
    def output_shape(self) -> Shape:
        """Shape of the output, without batch."""
        return self.shapes[self.output]

    def node_input_shapes(self, node: Node) -> tuple[Shape, ...]:
        """Shapes that a node reads."""
        return tuple(self.shapes[name] for name in node.inputs)

    @cached_property
    def parameter_shapes(self) -> dict[str, Shape]:
        """Shape of every parameter, by ``node.parameter``."""
        return {
            f"{node.name}.{name}": shape
            for node in self.nodes
            for name, shape in node.layer.parameter_shapes(*self.node_input_shapes(node)).items()
        }

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulate operations for one image."""
        return sum(node.layer.macs(*self.node_input_shapes(node)) for node in self.nodes)

    @cached_property
    def parameters(self) -> int:
        """Number of trained parameters."""
        return sum(math.prod(shape) for shape in self.parameter_shapes.values())


class GraphBuilder:
    """Writes a :class:`LayerGraph` layer by layer, checking shapes as it goes."""

    def __init__(self, input_shape: Shape) -> None:
        self._input_shape = input_shape
        self._nodes: list[Node] = []
        self._shapes: dict[str, Shape] = {INPUT: input_shape}

    def shape(self, name: str = INPUT) -> Shape:
        """Shape of a tensor written so far."""
        return self._shapes[name]

    def add(self, name: str, layer: Layer, *inputs: str) -> str:
        """Append a layer and return the name of its output.

        Raises:
            SpecError: The name is taken, or the layer takes another number of inputs.
            ShapeError: An input is unknown or has a shape that does not fit.
        """
        if name in self._shapes:
            raise SpecError(f"a layer named '{name}' is in the block already")
        if len(inputs) != layer.arity:
            raise SpecError(f"layer '{name}' takes {layer.arity} inputs, received {len(inputs)}")
        unknown = [item for item in inputs if item not in self._shapes]
        if unknown:
            raise ShapeError(f"layer '{name}' reads {', '.join(unknown)}, which is not written yet")
        self._shapes[name] = layer.output_shape(*(self._shapes[item] for item in inputs))
        self._nodes.append(Node(name, layer, inputs))
        return name

    def conv_bn(
        self,
        name: str,
        source: str,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        activation: str | None = None,
    ) -> str:
        """A convolution, batch norm and, where one is named, an activation."""
        tensor = self.add(f"{name}.conv", Conv2d(out_channels, kernel, stride, groups), source)
        tensor = self.add(f"{name}.bn", BatchNorm(), tensor)
        return tensor if activation is None else self.act(name, tensor, activation)

    def act(self, name: str, source: str, activation: str) -> str:
        """An activation named after what it follows."""
        return self.add(f"{name}.act", Activation(activation), source)

    def squeeze_excite(
        self,
        name: str,
        source: str,
        channels: int,
        activation: str = "relu",
        gate: str = "hardsigmoid",
    ) -> str:
        """Squeeze-excite: pool, reduce, activation, expand, gate, scale."""
        tensor = self.add(f"{name}.pool", GlobalAveragePool(), source)
        tensor = self.add(f"{name}.reduce", Conv2d(channels, 1, bias=True), tensor)
        tensor = self.act(f"{name}.reduce", tensor, activation)
        full = self.shape(source)[0]
        tensor = self.add(f"{name}.expand", Conv2d(full, 1, bias=True), tensor)
        tensor = self.act(f"{name}.expand", tensor, gate)
        return self.add(f"{name}.scale", Scale(), source, tensor)

    def residual(self, name: str, left: str, right: str) -> str:
        """The sum of a branch and its shortcut."""
        return self.add(name, Add(), left, right)

    def build(self) -> LayerGraph:
        """The finished graph."""
        return LayerGraph(self._input_shape, tuple(self._nodes))
