"""A graph by the shapes that its model states, without inference."""

import math

import onnx

from hwnas.kernels.constants import small_value
from hwnas.kernels.graph import Graph
from hwnas.kernels.model_file import declared_types
from hwnas.kernels.reading import plain_node

_FEW = 16


def declared_graph(model: onnx.ModelProto) -> Graph:
    """A model's graph with the shapes that it states, where it states all of them.

    Values are read of constants of a few elements only: factors and axes, of which it
    depends what is fused.
    """
    constants = {item.name for item in model.graph.initializer}
    values = {
        item.name: value
        for item in model.graph.initializer
        if math.prod(item.dims) <= _FEW and (value := small_value(item)) is not None
    }
    nodes = []
    for proto in model.graph.node:
        node = plain_node(proto)
        if node.inputs and not node.reason and all(t in constants for t in node.inputs if t):
            constants.update(node.outputs)
        nodes.append(node)
    outputs = [item.name for item in model.graph.output]
    return Graph(nodes, declared_types(model), values, constants, outputs)
