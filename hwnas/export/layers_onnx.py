"""The ONNX interpreter of layers: blocks and architectures as ONNX models, in milliseconds.

The graphs have the operators that ``torch.onnx.export`` writes for the torch
interpreter of the same layers (a test holds the two against each other), with
random weights, which is all that measuring needs.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hwnas.export.weights import RandomWeights, serialised
from hwnas.spaces.architecture import Architecture, PlacedBlock
from hwnas.spaces.graph import INPUT, LayerGraph, Node
from hwnas.spaces.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    Pool2d,
    Scale,
    Shape,
)

OPSET = 20
IR_VERSION = 10

_ACTIVATION_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "hardswish": ("HardSwish", {}),
    "hardsigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "sigmoid": ("Sigmoid", {}),
}


class OnnxWriter:
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
        self._batch = batch
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

    def append(self, graph: LayerGraph, prefix: str) -> None:
        """Write a block onto the end of the chain."""
        names = {INPUT: self.tensor}
        for node in graph.nodes:
            inputs = [names[item] for item in node.inputs]
            write = _WRITERS[type(node.layer)]
            names[node.name] = write(
                self, f"{prefix}.{node.name}", node, inputs, graph.node_input_shapes(node)
            )
            if self._skeleton:
                self._values.append(
                    helper.make_tensor_value_info(
                        names[node.name],
                        TensorProto.FLOAT,
                        [self._batch, *graph.shapes[node.name]],
                    )
                )
        self.tensor, self.shape = names[graph.output], graph.output_shape

    def depthwise_1x1(self, name: str) -> None:
        """Write the cheapest convolution there is: what stands around a part that is measured."""
        channels = self.shape[0]
        self.tensor = self.node(
            "Conv",
            [
                self.tensor,
                self.random(f"{name}.weight", (channels, 1, 1, 1)),
                self.random(f"{name}.bias", (channels,)),
            ],
            name,
            kernel_shape=[1, 1],
            strides=[1, 1],
            pads=[0, 0, 0, 0],
            group=channels,
        )

    def model(self, name: str) -> onnx.ModelProto:
        """The finished model; its input is ``input``, its output ``output``."""
        return onnx.load_model_from_string(self.serialised(name))

    def serialised(self, name: str) -> bytes:
        """The bytes of the finished model."""
        last = self._nodes[-1]
        last.output[0] = "output"
        output = helper.make_tensor_value_info(
            "output", TensorProto.FLOAT, [self._batch, *self.shape]
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


Write = Callable[[OnnxWriter, str, Node, list[str], tuple[Shape, ...]], str]


def _conv(
    w: OnnxWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, Conv2d)
    constants = [
        w.random(f"{name}.{parameter}", shape)
        for parameter, shape in layer.parameter_shapes(*shapes).items()
    ]
    return w.node(
        "Conv",
        [*inputs, *constants],
        name,
        kernel_shape=[layer.kernel] * 2,
        strides=[layer.stride] * 2,
        pads=[layer.padding] * 4,
        group=layer.groups,
        dilations=[1, 1],
        auto_pad="NOTSET",
    )


def _batch_norm(
    w: OnnxWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, BatchNorm)
    size = shapes[0][0]
    constants = [
        w.weight(f"{name}.{part}", np.full(size, value, np.float32))
        for part, value in (("weight", 1.0), ("bias", 0.1), ("mean", 0.0), ("variance", 1.0))
    ]
    return w.node("BatchNormalization", [*inputs, *constants], name, epsilon=layer.epsilon)


def _activation(
    w: OnnxWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, Activation)
    if layer.kind == "relu6":
        bounds = [
            w.weight(f"{name}.{part}", np.array(value, np.float32))
            for part, value in (("low", 0.0), ("high", 6.0))
        ]
        return w.node("Clip", [*inputs, *bounds], name)
    if layer.kind == "silu":
        gate = w.node("Sigmoid", inputs, f"{name}.sigmoid")
        return w.node("Mul", [*inputs, gate], name)
    op, attributes = _ACTIVATION_NODES[layer.kind]
    return w.node(op, inputs, name, **attributes)


def _pool(
    w: OnnxWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    layer = node.layer
    assert isinstance(layer, Pool2d)
    common = {
        "kernel_shape": [layer.kernel] * 2,
        "strides": [layer.stride] * 2,
        "pads": [layer.padding] * 4,
    }
    if layer.kind == "max":
        return w.node("MaxPool", inputs, name, **common)
    return w.node("AveragePool", inputs, name, count_include_pad=0, **common)


def _linear(
    w: OnnxWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
) -> str:
    constants = [
        w.random(f"{name}.{parameter}", shape)
        for parameter, shape in node.layer.parameter_shapes(*shapes).items()
    ]
    return w.node("Gemm", [*inputs, *constants], name, alpha=1.0, beta=1.0, transB=1)


def _plain(op: str, **attributes: Any) -> Write:
    def write(
        w: OnnxWriter, name: str, node: Node, inputs: list[str], shapes: tuple[Shape, ...]
    ) -> str:
        return w.node(op, inputs, name, **attributes)

    return write


_WRITERS: Mapping[type[Layer], Write] = {
    Conv2d: _conv,
    BatchNorm: _batch_norm,
    Activation: _activation,
    Add: _plain("Add"),
    Scale: _plain("Mul"),
    Pool2d: _pool,
    GlobalAveragePool: _plain("GlobalAveragePool"),
    Flatten: _plain("Flatten", axis=1),
    Linear: _linear,
}


def chain_to_onnx(
    blocks: Iterable[PlacedBlock],
    input_shape: Shape,
    *,
    name: str,
    seed: int = 0,
    batch: int = 1,
    skeleton: bool = False,
) -> onnx.ModelProto:
    """A chain of blocks as an ONNX model with random weights.

    Args:
        blocks: The blocks, first to last.
        input_shape: Shape of the input, without batch.
        name: Name of the graph.
        seed: Seed of the weights.
        batch: Batch size.
        skeleton: As for :class:`OnnxWriter`.
    """
    writer = OnnxWriter(input_shape, seed=seed, batch=batch, skeleton=skeleton)
    return _chained(writer, blocks).model(name)


def _chained(writer: OnnxWriter, blocks: Iterable[PlacedBlock]) -> OnnxWriter:
    for position, item in enumerate(blocks):
        writer.append(item.graph, f"block{position}")
    return writer


def architecture_to_onnx(
    architecture: Architecture, *, seed: int = 0, batch: int = 1
) -> onnx.ModelProto:
    """A whole network as an ONNX model with random weights."""
    return onnx.load_model_from_string(architecture_bytes(architecture, seed=seed, batch=batch))


def architecture_bytes(architecture: Architecture, *, seed: int = 0, batch: int = 1) -> bytes:
    """As :func:`architecture_to_onnx`, serialised; much faster than serialising that."""
    writer = OnnxWriter(architecture.input_shape, seed=seed, batch=batch)
    return _chained(writer, architecture.placed).serialised(architecture.digest)
