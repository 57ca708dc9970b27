"""A kernel: one fused operator with static shapes, as a runtime executes it."""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hwnas.errors import ProfileError
from hwnas.kernels.traffic import COMPARED, DTYPE_BYTES, moved_bytes, read_elements

Shape = tuple[int, ...]
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Kernel:
    """One fused operator.

    Args:
        op: ONNX operator type of the first operator.
        fused: Operator types that the runtime runs in the same kernel, in order.
        attributes: Attributes that change the cost, sorted by name.
        inputs: Shapes of the activations that are read, with batch.
        weights: Shapes of the constants that are read.
        outputs: Shapes that are written, with batch.
        dtype: Element type of the first activation.
    """

    op: str
    fused: tuple[str, ...]
    attributes: tuple[tuple[str, Attribute], ...]
    inputs: tuple[Shape, ...]
    weights: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    dtype: str = "float32"

    @cached_property
    def key(self) -> str:
        """Canonical text; equal exactly for kernels that cost the same."""
        name = "+".join((self.op, *self.fused))
        attributes = json.dumps(dict(self.attributes), separators=(",", ":"), sort_keys=True)
        shapes = "|".join(
            ",".join("x".join(map(str, shape)) or "scalar" for shape in group)
            for group in (self.inputs, self.weights, self.outputs)
        )
        return f"{name}|{attributes}|{shapes}|{self.dtype}"

    @cached_property
    def title(self) -> str:
        """Operators, window, stride and groups for people: ``Conv+Relu 3×3 /2 g32``."""
        words = ["+".join((self.op, *self.fused))]
        window, strides = self.attribute("kernel_shape", ()), self.attribute("strides", ())
        if isinstance(window, tuple) and window:
            words.append("×".join(map(str, window)))
        if isinstance(strides, tuple) and set(strides) - {1}:
            words.append("/" + "×".join(map(str, dict.fromkeys(strides))))
        if self.attribute("group", 1) != 1:
            words.append(f"g{self.attribute('group', 1)}")
        return " ".join(words)

    @classmethod
    def from_key(cls, key: str) -> "Kernel":
        """The kernel that :attr:`key` names.

        Raises:
            ProfileError: The text is not a kernel's key.
        """
        try:
            name, attributes, *shapes, dtype = key.split("|")
            op, *fused = name.split("+")
            inputs, weights, outputs = (_parse_shapes(group) for group in shapes)
            return cls(
                op,
                tuple(fused),
                tuple(sorted((k, _freeze(v)) for k, v in json.loads(attributes).items())),
                inputs,
                weights,
                outputs,
                dtype,
            )
        except (ValueError, AttributeError) as error:
            raise ProfileError(f"'{key}' is not the key of a kernel: {error}") from error

    def attribute(self, name: str, default: Attribute) -> Attribute:
        """The value of an attribute, or the default."""
        return dict(self.attributes).get(name, default)

    @property
    def element_bytes(self) -> int:
        """Bytes of one element."""
        return DTYPE_BYTES.get(self.dtype, 4)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulate operations; 0 for kernels that only move or map elements."""
        out = math.prod(self.outputs[0]) if self.outputs else 0
        operands = (*self.inputs, *self.weights)
        if self.op in CONVOLUTIONS and len(operands) > 1:
            weight = self.weights[0] if self.weights else self.inputs[1]
            read = math.prod(self.inputs[0]) if self.op == "ConvTranspose" else out
            return read * math.prod(weight[1:])
        if self.op in PRODUCTS and len(operands) > 1:
            return out * self._inner(operands[0], operands[1])
        if self.op == "Attention" and len(self.inputs) > 2:
            # Scores of every query with every key, and their products with the values.
            query, key, value = self.inputs[:3]
            keys = key[-2] if len(key) > 1 else 1
            return math.prod(query) * keys + out // max(1, self.outputs[0][-1]) * keys * value[-1]
        if self.op in RECURRENT and len(self.inputs[0]) == 3:
            steps = self.inputs[0][0] * self.inputs[0][1]
            # Beside the data stand states, where a model feeds them; they multiply nothing.
            known = self.weights if len(self.weights) > 1 else operands[1:]
            return steps * sum(math.prod(weight) for weight in known[:2])
        if self.op == "Einsum":
            return self._einsum(operands)
        return 0

    def _inner(self, left: Shape, right: Shape) -> int:
        """The size that a product sums over; which operand is which, shapes decide."""
        out = self.outputs[0]
        rows, columns = (-1, -2) if self.attribute("transA", 0) == 1 else (-2, -1)
        above, below = (-1, -2) if self.attribute("transB", 0) == 1 else (-2, -1)
        for first, second in ((left, right), (right, left)):
            if min(len(first), len(second), len(out)) < 2 or first[columns] != second[above]:
                continue
            if (first[rows], second[below]) == out[-2:]:
                return first[columns]
        return left[columns if len(left) > 1 else -1] if left else 0

    def _einsum(self, operands: tuple[Shape, ...]) -> int:
        terms = str(self.attribute("equation", "")).replace(" ", "").split("->")[0].split(",")
        if len(terms) < 2 or len(terms) != len(operands):
            return 0
        if any(len(term) != len(shape) for term, shape in zip(terms, operands, strict=True)):
            return 0
        sizes = {
            letter: size
            for term, shape in zip(terms, operands, strict=True)
            for letter, size in zip(term, shape, strict=True)
        }
        return math.prod(sizes.values())

    @cached_property
    def input_elements(self) -> int:
        """Elements of the activations that are read; of what is looked up or cut, not the rest."""
        return read_elements(self.op, self.inputs, self.output_elements)

    @cached_property
    def weight_elements(self) -> int:
        """Elements of the constants that are read; of a table, those that are looked up."""
        return read_elements(self.op, self.weights, self.output_elements)

    @cached_property
    def output_elements(self) -> int:
        """Elements that are written."""
        return sum(math.prod(shape) for shape in self.outputs)

    @property
    def bytes_moved(self) -> int:
        """Bytes that are read and written if every element is touched once."""
        first = read_elements(self.op, self.inputs[:1], self.output_elements)
        read = (first, self.input_elements - first, self.weight_elements)
        return moved_bytes(self.op, self.dtype, self.attribute("to", 0), read, self.output_elements)

    @property
    def groups(self) -> int:
        """Groups of a convolution; 1 elsewhere."""
        value = self.attribute("group", 1)
        return value if isinstance(value, int) else 1

    @property
    def family(self) -> str:
        """A coarse kind: what features are summed by and errors are broken down by."""
        if self.op in ("Conv", "QLinearConv", "ConvInteger") and self.weights:
            if self.groups > 1:
                return "depthwise" if self.weights[0][1] == 1 else "grouped"
            if math.prod(self.weights[0][2:]) == 1:
                return "pointwise" if math.prod(self.outputs[0][2:]) > 1 else "vector"
            return "dense"
        if self.op in PRODUCTS or self.op in RECURRENT or self.op in ("Attention", "Einsum"):
            return "matrix"
        if "Pool" in self.op or self.op.startswith("Reduce"):
            return "pool"
        return "elementwise" if self.op in ELEMENTWISE else "other"


CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "ConvTranspose", "QLinearConv"})
PRODUCTS = frozenset(
    {"Gemm", "MatMul", "QGemm", "MatMulInteger", "QLinearMatMul", "MatMulIntegerToFloat"}
    | {"DynamicQuantizeMatMul"}
)
RECURRENT = frozenset({"GRU", "LSTM", "RNN"})

ELEMENTWISE = frozenset(
    {
        "Add",
        "Mul",
        "Sub",
        "Div",
        "Sum",
        "Relu",
        "Clip",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
        "LeakyRelu",
        "Elu",
        "Selu",
        "PRelu",
        "Erf",
        "Gelu",
        "BiasGelu",
        "FastGelu",
        "QuickGelu",
        "QLinearAdd",
        "QLinearMul",
        "QLinearSigmoid",
        "QLinearLeakyRelu",
        "QuantizeLinear",
        "DequantizeLinear",
        "Floor",
        "Sqrt",
        "Pow",
        "Exp",
        "Log",
        "Neg",
        "Abs",
        "Softplus",
        "Where",
        "Cast",
        "BatchNormalization",
        "Max",
        "Min",
        *COMPARED,
    }
)


def _parse_shapes(text: str) -> tuple[Shape, ...]:
    return tuple(
        () if item == "scalar" else tuple(int(size) for size in item.split("x"))
        for item in text.split(",")
        if item
    )


def _freeze(value: Any) -> Attribute:
    return tuple(value) if isinstance(value, list) else value
