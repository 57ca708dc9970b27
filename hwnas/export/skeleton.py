"""Blocks as graphs to be lowered, without an ONNX model in between: no weight is written.

Lowering all blocks of a space spends most of its time on models otherwise.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from hwnas.export.layers_onnx import OnnxWriter
from hwnas.kernels.graph import Graph, Node
from hwnas.kernels.model_file import dtype_name, stated_types
from hwnas.kernels.reading import plain_node
from hwnas.spaces.architecture import PlacedBlock
from hwnas.spaces.layers import Shape

_FEW = 16
"""Constants of up to so many elements keep their values: factors and axes decide fusions."""


class SkeletonWriter(OnnxWriter):
    """Writes blocks as :class:`OnnxWriter` does, into a :class:`Graph`."""

    def __init__(self, input_shape: Shape, *, batch: int = 1) -> None:
        super().__init__(input_shape, batch=batch)
        self._written: list[Node] = []
        self._types = {"input": ((batch, *input_shape), "float32")}
        self._held: dict[str, NDArray[Any]] = {}
        self._constants: set[str] = set()

    def nodes(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        """Append a node."""
        known = {name: _attribute(value) for name, value in attributes.items()}
        self._written.append(Node(op, list(inputs), list(outputs), known))

    def weight(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self._types[name] = (value.shape, str(value.dtype))
        self._constants.add(name)
        if value.size <= _FEW:
            self._held[name] = value
        return name

    def random(self, name: str, shape: Shape) -> str:
        """Add a constant without a value and return its name."""
        self._types[name] = (tuple(shape), "float32")
        self._constants.add(name)
        return name

    def transposed(self, name: str, shape: Shape) -> str:
        """As :meth:`random`, of the transpose of a shape ``(rows, columns)``."""
        return self.random(name, shape[::-1])

    def state(self, tensor: str, shape: Shape) -> str:
        """State the shape of a tensor, with batch."""
        self._types.setdefault(tensor, (tuple(shape), "float32"))
        return tensor

    def copied(self, node: onnx.NodeProto) -> None:
        """Append a node of a finished graph."""
        self._written.append(plain_node(node))

    def constant(self, name: str, tensor: onnx.TensorProto) -> None:
        """Add a constant of a finished graph."""
        if math.prod(tensor.dims) <= _FEW:
            self.weight(name, numpy_helper.to_array(tensor))
        else:
            self.random(name, tuple(tensor.dims))
            self._types[name] = (tuple(tensor.dims), dtype_name(tensor.data_type))

    def stated(self, name: str, value: onnx.ValueInfoProto) -> None:
        """State what a finished graph states of a tensor."""
        for found in stated_types([value]).values():
            self._types.setdefault(name, found)

    def graph(self) -> Graph:
        """What was written; its input is ``input``."""
        for node in self._written:
            if node.inputs and all(tensor in self._constants for tensor in node.inputs if tensor):
                self._constants.update(node.outputs)
        return Graph(self._written, self._types, self._held, self._constants, [self.tensor])


def skeleton_graph(blocks: Iterable[PlacedBlock], input_shape: Shape, *, batch: int = 1) -> Graph:
    """A chain of blocks as a graph to be lowered.

    Args:
        blocks: The blocks, first to last.
        input_shape: Shape of the input, without batch.
        batch: Batch size.
    """
    writer = SkeletonWriter(input_shape, batch=batch)
    for position, item in enumerate(blocks):
        writer.append(item.graph, f"block{position}")
    return writer.graph()


def _attribute(value: Any) -> Any:
    """An attribute as it is read from a model, which holds numbers in 32 bits."""
    if isinstance(value, float):
        return float(np.float32(value))
    return tuple(value) if isinstance(value, list) else value
