"""One ONNX graph in the making: its nodes, constants and the shapes between them."""

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


class GraphWriter:
    """Collects nodes and weights of one ONNX graph.

    Args:
        input_shape: Shape of the single input, without batch.
        seed: Seed of the random weights.
        batch: Batch size, static.
    """

    def __init__(self, input_shape: Shape, *, seed: int = 0, batch: int = 1) -> None:
        self._random = RandomWeights(seed)
        self._splits: dict[tuple[str, int], tuple[str, ...]] = {}
        self.batch = batch
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, NDArray[Any]] = {}
        self._input = helper.make_tensor_value_info(
            "input", TensorProto.FLOAT, [batch, *input_shape]
        )
        self.tensor = "input"
        self.shape = input_shape

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node and return its output's name."""
        self.nodes(op, inputs, [output], **attributes)
        return output

    def nodes(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        """Append a node of several outputs, named after the first."""
        self._nodes.append(
            helper.make_node(op, list(inputs), list(outputs), name=outputs[0], **attributes)
        )

    def weight(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        self._weights[name] = value
        return name

    def random(self, name: str, shape: Shape) -> str:
        """Add a random constant, scaled so that activations keep their size."""
        return self.weight(name, self._random.draw(shape))

    def transposed(self, name: str, shape: Shape) -> str:
        """Add a random constant of a shape ``(rows, columns)``, stored as its transpose."""
        return self.weight(name, np.ascontiguousarray(self._random.draw(shape).T))

    def state(self, tensor: str, shape: Shape) -> str:
        """Told the shape of a tensor, with batch; a model that is whole needs no such telling."""
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
            self.nodes("Split", [tensor, sizes], outputs, axis=1)
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
            self.constant(own(constant.name), constant)
        for node in graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            copy.name = own(node.name or node.output[0])
            copy.input[:] = [own(tensor) for tensor in node.input]
            copy.output[:] = [own(tensor) for tensor in node.output]
            self.copied(copy)
        for value in (*graph.value_info, *graph.output):
            self.stated(own(value.name), value)
        return own(graph.output[0].name)

    def copied(self, node: onnx.NodeProto) -> None:
        """Append a node of a finished graph."""
        self._nodes.append(node)

    def constant(self, name: str, tensor: onnx.TensorProto) -> None:
        """Add a constant of a finished graph."""
        self.weight(name, numpy_helper.to_array(tensor))

    def stated(self, name: str, value: onnx.ValueInfoProto) -> None:
        """Told what a finished graph states of a tensor, as :meth:`state`."""

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
        graph = helper.make_graph(self._nodes, name, [self._input], [output])
        model = helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="hwnas",
        )
        return serialised(model, self._weights)
