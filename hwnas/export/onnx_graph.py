"""One ONNX graph in the making: its nodes, constants and the shapes between them."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hwnas.export.weights import RandomWeights, serialised
from hwnas.spaces.layers import Shape

OPSET = 20
IR_VERSION = 10
_SMALL = 64
"""Constants of a spliced graph of up to so many elements keep their values in a skeleton."""


class GraphWriter:
    """Collects nodes and weights of one ONNX graph.

    Args:
        input_shape: Shape of the single input, without batch.
        seed: Seed of the random weights.
        batch: Batch size, static.
        skeleton: Write constants without values and state every tensor's shape:
            enough to be lowered, and much faster to write and to lower.
    """

    def __init__(
        self, input_shape: Shape, *, seed: int = 0, batch: int = 1, skeleton: bool = False
    ) -> None:
        self._random = RandomWeights(seed)
        self._skeleton = skeleton
        self._values: list[onnx.ValueInfoProto] = []
        self._stated: set[str] = set()
        self._splits: dict[tuple[str, int], tuple[str, ...]] = {}
        self.batch = batch
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, NDArray[Any]] = {}
        self._placeholders: list[onnx.TensorProto] = []
        self._input = helper.make_tensor_value_info(
            "input", TensorProto.FLOAT, [batch, *input_shape]
        )
        self.tensor = "input"
        self.shape = input_shape

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node and return its output's name."""
        self._nodes.append(helper.make_node(op, list(inputs), [output], name=output, **attributes))
        return output

    def weight(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self._weights[name] = value
        return name

    def random(self, name: str, shape: Shape) -> str:
        """Add a random constant, scaled so that activations keep their size."""
        if self._skeleton:
            self._placeholders.append(
                TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT)
            )
            return name
        return self.weight(name, self._random.draw(shape))

    def transposed(self, name: str, shape: Shape) -> str:
        """Add a random constant of a shape ``(rows, columns)``, stored as its transpose."""
        rows, columns = shape
        if self._skeleton:
            return self.random(name, (columns, rows))
        return self.weight(name, np.ascontiguousarray(self._random.draw(shape).T))

    def state(self, tensor: str, shape: Shape) -> str:
        """State the shape of a tensor, with batch, where the model is a skeleton."""
        if self._skeleton and tensor not in self._stated:
            self._stated.add(tensor)
            self._values.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, shape))
        return tensor

    def reshape(self, name: str, tensor: str, shape: Shape) -> str:
        """Write a reshape to a shape with batch, and state that shape."""
        wanted = self.weight(f"{name}.shape", np.array(shape, np.int64))
        return self.state(self.node("Reshape", [tensor, wanted], name), shape)

    def split(self, tensor: str, parts: int, shape: Shape) -> tuple[str, ...]:
        """Write a split of a tensor into equal parts along its second axis, once.

        Args:
            tensor: What is split.
            parts: Into how many.
            shape: Its shape, with batch.
        """
        if (tensor, parts) not in self._splits:
            share = shape[1] // parts
            outputs = tuple(f"{tensor}.part{part}of{parts}" for part in range(parts))
            sizes = self.weight(f"{tensor}.{parts}parts", np.full(parts, share, np.int64))
            node = helper.make_node("Split", [tensor, sizes], outputs, name=outputs[0], axis=1)
            self._nodes.append(node)
            for output in outputs:
                self.state(output, (shape[0], share, *shape[2:]))
            self._splits[tensor, parts] = outputs
        return self._splits[tensor, parts]

    def splice(self, graph: onnx.GraphProto, prefix: str, source: str) -> str:
        """Write the nodes of a finished graph of one input and output; returns the output's name.

        Args:
            graph: The graph, with the shapes of its tensors.
            prefix: What stands before the names of its tensors.
            source: The tensor that it reads.
        """
        names = {"": "", graph.input[0].name: source}

        def own(tensor: str) -> str:
            return names.setdefault(tensor, f"{prefix}.{tensor}")

        for constant in graph.initializer:
            if self._skeleton and math.prod(constant.dims) > _SMALL:
                self._placeholders.append(
                    TensorProto(
                        name=own(constant.name), dims=constant.dims, data_type=constant.data_type
                    )
                )
            else:
                self.weight(own(constant.name), numpy_helper.to_array(constant))
        for node in graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = own(node.name or node.output[0])
            copy.input[:] = [own(tensor) for tensor in node.input]
            copy.output[:] = [own(tensor) for tensor in node.output]
            self._nodes.append(copy)
        output = own(graph.output[0].name)
        if self._skeleton:
            for value in (*graph.value_info, *graph.output):
                stated = onnx.ValueInfoProto()
                stated.CopyFrom(value)
                stated.name = own(value.name)
                if stated.name not in self._stated:
                    self._stated.add(stated.name)
                    self._values.append(stated)
        return output

    def model(self, name: str) -> onnx.ModelProto:
        """The finished model; its input is ``input``, its output ``output``."""
        return onnx.load_model_from_string(self.serialised(name))

    def serialised(self, name: str) -> bytes:
        """The bytes of the finished model."""
        last = self._nodes[-1]
        last.output[list(last.output).index(self.tensor)] = "output"
        output = helper.make_tensor_value_info(
            "output", TensorProto.FLOAT, [self.batch, *self.shape]
        )
        graph = helper.make_graph(
            self._nodes, name, [self._input], [output], self._placeholders, value_info=self._values
        )
        model = helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="hwnas",
        )
        return serialised(model, self._weights)
