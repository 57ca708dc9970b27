"""Writes one kernel as a model, its images between 1×1 depthwise convolutions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hwnas.export.onnx_graph import IR_VERSION, OPSET
from hwnas.export.weights import RandomWeights, serialised
from hwnas.kernels.kernel import Kernel, Shape

MIN_EDGE_CHANNELS = 5
"""Images of fewer channels are a network's input, which nothing stands before."""

TYPES: Mapping[str, int] = {
    "float32": TensorProto.FLOAT,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
}
"""Element types that a kernel's model can have."""

_ACTIVE: Mapping[str, Mapping[str, Any]] = {"HardSigmoid": {"alpha": 1 / 6, "beta": 0.5}}
COMPARED = ("Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual")
_OUTPUT_TYPES: Mapping[str, int] = {
    **dict.fromkeys(("ArgMax", "ArgMin"), TensorProto.INT64),
    **dict.fromkeys(COMPARED, TensorProto.BOOL),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), TensorProto.INT32),
    "QuantizeLinear": TensorProto.UINT8,
    "DequantizeLinear": TensorProto.FLOAT,
}


def is_edge(shape: Shape) -> bool:
    """Whether an image of this shape, with batch, is wrapped."""
    return len(shape) == 4 and shape[1] >= MIN_EDGE_CHANNELS and shape[2] * shape[3] > 1


class KernelWriter:
    """Writes one kernel.

    Args:
        kernel: The kernel.
        wrapped: Put images between 1×1 depthwise convolutions.
    """

    def __init__(self, kernel: Kernel, *, wrapped: bool) -> None:
        self.kernel = kernel
        self._wrapped = wrapped and kernel.dtype == "float32"
        self._random = RandomWeights()
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, NDArray[Any]] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._edges: list[Shape] = []
        self._others: list[str] = []

    def written(self, build: "Build") -> tuple[bytes, tuple[Shape, ...]]:
        """The serialised model, and the images at its wrapped edges.

        Args:
            build: What writes the kernel's own operator.
        """
        kernel = self.kernel
        tensors = [self._input(index, shape) for index, shape in enumerate(kernel.inputs)]
        extra = tensors.pop() if "Add" in kernel.fused else None
        tensor = build(self, tensors)
        for name in kernel.fused:
            tensor = self.op(name, tensor, *self._companions(name, extra), **_ACTIVE.get(name, {}))
        kind = _OUTPUT_TYPES.get(kernel.op, TYPES[kernel.dtype])
        values = [
            self._end(name, f"output{index or ''}", shape, kind)
            for index, (name, shape) in enumerate(
                zip((tensor, *self._others), kernel.outputs, strict=True)
            )
        ]
        graph = helper.make_graph(self._nodes, "kernel", self._inputs, values)
        domains = sorted({node.domain for node in self._nodes} - {""})
        model = helper.make_model(
            graph,
            ir_version=IR_VERSION,
            opset_imports=[
                helper.make_opsetid("", OPSET),
                *(helper.make_opsetid(domain, 1) for domain in domains),
            ],
            producer_name="hwnas",
        )
        return serialised(model, self._weights), tuple(self._edges)

    def _end(self, tensor: str, name: str, shape: Shape, kind: int) -> onnx.ValueInfoProto:
        """Make a tensor an output of the model, behind a convolution where it is an image."""
        if self._wrapped and is_edge(shape) and kind == TensorProto.FLOAT:
            tensor = self._depthwise(tensor, shape)
        for node in self._nodes:
            for index, output in enumerate(node.output):
                if output == tensor:
                    node.output[index] = name
        return helper.make_tensor_value_info(name, kind, list(shape))

    def _companions(self, name: str, extra: str | None) -> list[str]:
        if name == "Add" and extra is not None:
            return [extra]
        if name == "Clip":
            return [self.constant(np.array(v, np.float32)) for v in (0.0, 6.0)]
        return []

    def _input(self, index: int, shape: Shape) -> str:
        name = f"input{index}"
        kind = TYPES[self.kernel.dtype]
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        return self._depthwise(name, shape) if self._wrapped and is_edge(shape) else name

    def _depthwise(self, tensor: str, shape: Shape) -> str:
        self._edges.append(shape)
        weight = self.random((shape[1], 1, 1, 1))
        return self.op("Conv", tensor, weight, group=shape[1], kernel_shape=[1, 1])

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node; its output's name."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], domain=domain, **attributes))
        return name

    def split(self, tensor: str) -> str:
        """A split into the kernel's outputs; the first of them, the others are kept."""
        axis = int(self.kept().get("axis", 0))
        sizes = self.integers([shape[axis] for shape in self.kernel.outputs])
        first = self.op("Split", tensor, sizes, axis=axis)
        self._others = [f"{first}.{index}" for index in range(1, len(self.kernel.outputs))]
        self._nodes[-1].output.extend(self._others)
        return first

    def constant(self, value: NDArray[Any]) -> str:
        """A constant of a value."""
        name = f"constant{len(self._weights)}"
        self._weights[name] = value
        return name

    def scalar(self, value: float) -> str:
        """A constant of one number."""
        return self.constant(np.array(value, np.float32))

    def integers(self, values: Sequence[int]) -> str:
        """A constant vector of integers."""
        return self.constant(np.array(values, np.int64))

    def random(self, shape: Shape) -> str:
        """A random constant of a shape."""
        return self.constant(self._random.draw(shape))

    def levels(self, shape: Shape, dtype: type[np.generic]) -> str:
        """Random quantised weights of a shape."""
        return self.constant(np.asarray(np.clip(40 * self._random.draw(shape), -99, 99), dtype))

    def kept(self) -> dict[str, Any]:
        """The kernel's attributes."""
        return dict(self.kernel.attributes)


Build = Callable[[KernelWriter, list[str]], str]
