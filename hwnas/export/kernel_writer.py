"""Writes one kernel as a model, its images between 1×1 depthwise convolutions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hwnas.export.kernel_types import (
    NUMPY_TYPES,
    are_positive,
    index_limits,
    input_types,
    output_type,
)
from hwnas.export.onnx_graph import IR_VERSION, OPSET
from hwnas.export.weights import RandomWeights, serialised
from hwnas.kernels.kernel import Kernel, Shape

MIN_EDGE_CHANNELS = 5
"""Images of fewer channels are a network's input, which nothing stands before."""

BELOW = "hwnas.below."
"""In a model's metadata, before an input's name: what the whole numbers fed to it stay below."""

POSITIVE = "hwnas.positive."
"""In a model's metadata, before the name of an input that must not be below zero."""

_ACTIVE: Mapping[str, Mapping[str, Any]] = {"HardSigmoid": {"alpha": 1 / 6, "beta": 0.5}}


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
        # What a convolution gives may be below zero.
        self._wrapped = wrapped and kernel.dtype == "float32" and not are_positive(kernel)
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
        kinds = zip(kernel.inputs, input_types(kernel), strict=True)
        tensors = [self._input(index, *item) for index, item in enumerate(kinds)]
        extra = tensors.pop() if "Add" in kernel.fused else None
        tensor = build(self, tensors)
        for name in kernel.fused:
            tensor = self.op(name, tensor, *self._companions(name, extra), **_ACTIVE.get(name, {}))
        kind = output_type(kernel)
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
        # What is fed is told by the model, so that whoever runs it looks up different rows.
        told = {f"{BELOW}input{i}": str(limit) for i, limit in index_limits(kernel).items()}
        if are_positive(kernel):
            told[f"{POSITIVE}input0"] = "1"
        helper.set_model_props(model, told)
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

    def _input(self, index: int, shape: Shape, kind: int) -> str:
        name = f"input{index}"
        self._inputs.append(helper.make_tensor_value_info(name, kind, list(shape)))
        wrapped = self._wrapped and is_edge(shape) and kind == TensorProto.FLOAT
        return self._depthwise(name, shape) if wrapped else name

    def _depthwise(self, tensor: str, shape: Shape) -> str:
        self._edges.append(shape)
        weight = self.random((shape[1], 1, 1, 1))
        return self.op("Conv", tensor, weight, group=shape[1], kernel_shape=[1, 1])

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node; its output's name."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], domain=domain, **attributes))
        return name

    def several(
        self, kind: str, inputs: Sequence[str], outputs: Sequence[bool], **attributes: Any
    ) -> str:
        """A node of several outputs; the first of them, the others are kept.

        Args:
            kind: Operator type.
            inputs: What it reads.
            outputs: For each of its outputs whether it is wanted.
            attributes: Its attributes.
        """
        first = self.op(kind, *inputs, **attributes)
        names = [f"{first}.{index}" if wanted else "" for index, wanted in enumerate(outputs)]
        self._nodes[-1].output[:] = names
        own, *self._others = filter(None, names)
        return own

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

    def own(self, shape: Shape) -> str:
        """A random constant of the kernel's own type; no whole number among them is zero."""
        if self.kernel.dtype == "float32":
            return self.random(shape)
        value = np.clip(np.abs(40 * self._random.draw(shape)), 1, 99)
        return self.constant(value.astype(NUMPY_TYPES[self.kernel.dtype]))

    def levels(self, shape: Shape, dtype: type[np.generic]) -> str:
        """Random quantised weights of a shape."""
        return self.constant(np.asarray(np.clip(40 * self._random.draw(shape), -99, 99), dtype))

    def kept(self) -> dict[str, Any]:
        """The kernel's attributes."""
        return dict(self.kernel.attributes)


Build = Callable[[KernelWriter, list[str]], str]
