"""Models that measure one part: a kernel or a block as it stands inside a network.

A part alone carries costs that it does not have in a network: its runtime
reorders images at the model's edges, and fusions across the edge are lost. So a
part that takes or gives an image stands between 1×1 depthwise convolutions, and
what these and the reorders cost is measured by *edge* models (two such
convolutions and nothing else) and taken off:

    part = model − call − ½ Σ (edge − call) over the part's edges
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hwnas.export.layers_onnx import OnnxWriter
from hwnas.export.onnx_graph import IR_VERSION, OPSET
from hwnas.export.weights import RandomWeights, serialised
from hwnas.kernels.kernel import Kernel, Shape
from hwnas.spaces.architecture import PlacedBlock

CALL = "call"
MIN_EDGE_CHANNELS = 5
"""Images of fewer channels are a network's input, which nothing stands before."""


_SWALLOWED = ("Relu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Clip")
"""Operators that run in the kernel of a convolution before them."""


@dataclass(frozen=True)
class Part:
    """A part's model and the edges whose cost is taken off.

    Args:
        key: What the part is called in a profile.
        model: Serialised ONNX.
        edges: Shapes, with batch, of the images at its wrapped edges.
    """

    key: str
    model: bytes
    edges: tuple[Shape, ...] = ()


def edge_key(shape: Shape) -> str:
    """Name of the edge model of an image shape, with batch."""
    return "edge:" + "x".join(map(str, shape))


def edge_shape(key: str) -> Shape:
    """The image shape of an edge model's name."""
    return tuple(int(size) for size in key.removeprefix("edge:").split("x"))


def is_edge(shape: Shape) -> bool:
    """Whether an image of this shape, with batch, is wrapped."""
    return len(shape) == 4 and shape[1] >= MIN_EDGE_CHANNELS and shape[2] * shape[3] > 1


def call_part() -> Part:
    """An almost empty model: what one call of the runtime costs."""
    node = helper.make_node("Relu", ["input"], ["output"])
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node],
        "call",
        [value("input", TensorProto.FLOAT, [1])],
        [value("output", TensorProto.FLOAT, [1])],
    )
    return Part(CALL, _serialise(graph))


def edge_part(shape: Shape) -> Part:
    """Two 1×1 depthwise convolutions on an image of a shape, with batch."""
    writer = OnnxWriter(shape[1:], batch=shape[0])
    writer.depthwise_1x1("first")
    writer.depthwise_1x1("second")
    return Part(edge_key(shape), writer.serialised("edge"))


def canary_model() -> bytes:
    """A small fixed network of mixed kernels that tells slow time from quiet time."""
    writer = OnnxWriter((32, 16, 16))
    for position in range(2):
        writer.depthwise_1x1(f"depthwise{position}")
        writer.tensor = writer.node(
            "Conv",
            [writer.tensor, writer.random(f"weight{position}", (32, 32, 3, 3))],
            f"dense{position}",
            kernel_shape=[3, 3],
            pads=[1, 1, 1, 1],
        )
    return writer.serialised("canary")


def block_part(block: PlacedBlock, *, batch: int = 1) -> Part:
    """A block between 1×1 depthwise convolutions, where its edges are images."""
    writer = OnnxWriter(block.input_shape, batch=batch)
    edges: list[Shape] = []
    if is_edge((batch, *block.input_shape)):
        writer.depthwise_1x1("before")
        edges.append((batch, *block.input_shape))
    writer.append(block.graph, "block")
    if is_edge((batch, *writer.shape)):
        writer.depthwise_1x1("after")
        edges.append((batch, *writer.shape))
    return Part(f"block:{block.key}", writer.serialised("block"), tuple(edges))


def kernel_part(kernel: Kernel) -> Part | None:
    """A kernel between 1×1 depthwise convolutions; ``None`` where it cannot be stood alone."""
    if (
        kernel.op not in _REBUILT
        or kernel.dtype != "float32"
        or (len(kernel.outputs) != 1 and kernel.op != "Split")
    ):
        return None
    return _KernelWriter(kernel).part()


def _attributes(kernel: Kernel) -> dict[str, Any]:
    return dict(kernel.attributes)


def _serialise(
    graph: onnx.GraphProto, constants: Mapping[str, NDArray[Any]] | None = None
) -> bytes:
    model = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="hwnas",
    )
    return serialised(model, constants or {})


class _KernelWriter:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.random = RandomWeights()
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, NDArray[Any]] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.edges: list[Shape] = []
        self.others: list[str] = []

    def part(self) -> Part:
        kernel = self.kernel
        tensors = [self._input(index, shape) for index, shape in enumerate(kernel.inputs)]
        extra = tensors.pop() if "Add" in kernel.fused else None
        tensor = _REBUILT[kernel.op](self, tensors)
        for position, name in enumerate(kernel.fused):
            output = f"fused{position}"
            inputs = [tensor]
            attributes: dict[str, Any] = {}
            if name == "Add" and extra is not None:
                inputs.append(extra)
            elif name == "Clip":
                inputs += [self._constant(np.array(v, np.float32)) for v in (0.0, 6.0)]
            elif name == "HardSigmoid":
                attributes = {"alpha": 1 / 6, "beta": 0.5}
            self.nodes.append(helper.make_node(name, inputs, [output], **attributes))
            tensor = output
        values = [
            self._end(name, f"after{index or ''}", f"output{index or ''}", shape)
            for index, (name, shape) in enumerate(
                zip((tensor, *self.others), kernel.outputs, strict=True)
            )
        ]
        graph = helper.make_graph(self.nodes, "kernel", self.inputs, values)
        return Part(f"kernel:{kernel.key}", _serialise(graph, self.weights), tuple(self.edges))

    def _input(self, index: int, shape: Shape) -> str:
        name = f"input{index}"
        self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)))
        return self._depthwise(f"before{index}", name, shape) if self._wraps(shape) else name

    def _wraps(self, shape: Shape) -> bool:
        """Whether a convolution stands at an edge; not where it would swallow the kernel."""
        return is_edge(shape) and self.kernel.op not in (*_SWALLOWED, "BatchNormalization", "Add")

    def _end(self, tensor: str, around: str, name: str, shape: Shape) -> onnx.ValueInfoProto:
        """Make a tensor an output of the model, behind a convolution where it is an image."""
        if self._wraps(shape):
            tensor = self._depthwise(around, tensor, shape)
        for node in self.nodes:
            for index, output in enumerate(node.output):
                if output == tensor:
                    node.output[index] = name
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))

    def _depthwise(self, name: str, tensor: str, shape: Shape) -> str:
        self.edges.append(shape)
        weight = self._constant(self.random.draw((shape[1], 1, 1, 1)))
        self.nodes.append(
            helper.make_node("Conv", [tensor, weight], [name], group=shape[1], kernel_shape=[1, 1])
        )
        return name

    def _constant(self, value: NDArray[Any]) -> str:
        name = f"constant{len(self.weights)}"
        self.weights[name] = value
        return name

    def plain(self, tensors: list[str]) -> str:
        """The operator itself, with its attributes and random constants."""
        kernel = self.kernel
        constants = [self._constant(self.random.draw(shape)) for shape in kernel.weights]
        self.nodes.append(
            helper.make_node(kernel.op, [*tensors, *constants], ["own"], **_attributes(kernel))
        )
        return "own"

    def reshape(self, tensors: list[str]) -> str:
        """A reshape to the output's shape."""
        shape = self._constant(np.array(self.kernel.outputs[0], np.int64))
        self.nodes.append(helper.make_node("Reshape", [*tensors, shape], ["own"]))
        return "own"

    def batch_norm(self, tensors: list[str]) -> str:
        """A batch norm, whose last constant is a variance and must be positive."""
        constants = [
            self._constant(np.abs(self.random.draw(shape)) + 0.5) for shape in self.kernel.weights
        ]
        self.nodes.append(helper.make_node("BatchNormalization", [*tensors, *constants], ["own"]))
        return "own"

    def first(self, tensors: list[str]) -> str:
        """A gather of the first element along its axis."""
        index = self._constant(np.array(0, np.int64))
        attributes = _attributes(self.kernel)
        self.nodes.append(helper.make_node("Gather", [*tensors, index], ["own"], **attributes))
        return "own"

    def mean(self, tensors: list[str]) -> str:
        """A mean over the one axis that the output lacks."""
        shape, output = self.kernel.inputs[0], self.kernel.outputs[0]
        axis = next(i for i in range(len(shape)) if (*shape[:i], *shape[i + 1 :]) == output)
        axes = self._constant(np.array([axis], np.int64))
        self.nodes.append(helper.make_node("ReduceMean", [*tensors, axes], ["own"], keepdims=0))
        return "own"

    def split(self, tensors: list[str]) -> str:
        """A split into the outputs' shapes."""
        kernel = self.kernel
        axis = int(_attributes(kernel).get("axis", 0))
        sizes = self._constant(np.array([shape[axis] for shape in kernel.outputs], np.int64))
        self.others = [f"own{index}" for index in range(1, len(kernel.outputs))]
        self.nodes.append(
            helper.make_node("Split", [*tensors, sizes], ["own", *self.others], axis=axis)
        )
        return "own"

    def activation(self, tensors: list[str]) -> str:
        """An activation with the constants that it is used with."""
        if self.kernel.op == "Clip":
            tensors = tensors + [self._constant(np.array(v, np.float32)) for v in (0.0, 6.0)]
        self.nodes.append(helper.make_node(self.kernel.op, tensors, ["own"]))
        return "own"


_REBUILT: dict[str, Callable[[_KernelWriter, list[str]], str]] = {
    **dict.fromkeys(
        (
            "Conv",
            "ConvTranspose",
            "Gemm",
            "MatMul",
            "MaxPool",
            "AveragePool",
            "GlobalAveragePool",
            "GlobalMaxPool",
            "Add",
            "Mul",
            "Sub",
            "Div",
            "Concat",
            "Transpose",
            "Softmax",
            "LRN",
            "Gelu",
            "LayerNormalization",
        ),
        _KernelWriter.plain,
    ),
    "Reshape": _KernelWriter.reshape,
    "Split": _KernelWriter.split,
    "Gather": _KernelWriter.first,
    "ReduceMean": _KernelWriter.mean,
    "BatchNormalization": _KernelWriter.batch_norm,
    **dict.fromkeys(_SWALLOWED, _KernelWriter.activation),
}
