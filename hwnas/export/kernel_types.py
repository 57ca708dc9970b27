"""Element types of the tensors of a kernel's model, of which its key holds the first only."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike
from onnx import TensorProto

from hwnas.kernels.kernel import Kernel, Shape
from hwnas.kernels.traffic import COMPARED

TYPES: Mapping[str, int] = {
    "float32": TensorProto.FLOAT,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}
"""Element types that a kernel's model can have, by their names."""

NUMPY_TYPES: Mapping[str, DTypeLike] = {name: np.dtype(name) for name in TYPES}

_WIDE = ("int32", "int64", "bool")
_OF_WIDE = COMPARED | {
    *("Add", "Cast", "Concat", "Expand", "Gather", "Mul", "Reshape", "Slice", "Split", "Sub"),
    *("Tile", "Transpose", "Where"),
}
"""What is written of whole numbers and truth values. Division is not: they are fed zeros."""

_OUTPUT_TYPES: Mapping[str, int] = {
    **dict.fromkeys(("ArgMax", "ArgMin"), TensorProto.INT64),
    **dict.fromkeys(COMPARED, TensorProto.BOOL),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), TensorProto.INT32),
    **dict.fromkeys(("DequantizeLinear", "MatMulIntegerToFloat"), TensorProto.FLOAT),
    "QuantizeLinear": TensorProto.UINT8,
}


def is_typed(kernel: Kernel) -> bool:
    """Whether a model can have tensors of the kernel's type for its operator."""
    if kernel.dtype in _WIDE:
        return kernel.op in _OF_WIDE
    return kernel.dtype in TYPES


def is_embedding(kernel: Kernel) -> bool:
    """Whether a kernel looks up rows of a constant table, by indices that are fed."""
    if kernel.op != "Gather" or kernel.dtype not in ("int32", "int64") or not kernel.weights:
        return False
    table, axis = kernel.weights[0], _axis(kernel, kernel.weights[0])
    return (*table[:axis], *kernel.inputs[0], *table[axis + 1 :]) == kernel.outputs[0]


def input_types(kernel: Kernel) -> list[int]:
    """Element types of the activations, in order."""
    own = TYPES[kernel.dtype]
    others = own
    if kernel.op == "Where" and kernel.dtype == "bool":
        others = TensorProto.FLOAT
    elif kernel.op == "Gather":
        others = TensorProto.INT64
    return [own, *(others for _ in kernel.inputs[1:])]


def output_type(kernel: Kernel) -> int:
    """Element type of the outputs."""
    if kernel.op == "Cast":
        to = kernel.attribute("to", TensorProto.FLOAT)
        return to if isinstance(to, int) else TensorProto.FLOAT
    if is_embedding(kernel) or (kernel.op == "Where" and kernel.dtype == "bool"):
        return TensorProto.FLOAT
    return _OUTPUT_TYPES.get(kernel.op, TYPES[kernel.dtype])


def are_positive(kernel: Kernel) -> bool:
    """Whether what is fed must not be below zero: roots and logarithms of that are no numbers."""
    return kernel.op in ("Log", "Sqrt")


def index_limits(kernel: Kernel) -> dict[int, int]:
    """For activations that are indices, by their position: what they must stay below."""
    if is_embedding(kernel):
        return {0: _rows(kernel, kernel.weights[0])}
    if kernel.op == "Gather" and len(kernel.inputs) == 2:
        return {1: _rows(kernel, kernel.inputs[0])}
    return {}


def _rows(kernel: Kernel, table: Shape) -> int:
    return table[_axis(kernel, table)] if table else 1


def _axis(kernel: Kernel, table: Shape) -> int:
    axis = kernel.attribute("axis", 0)
    return axis % max(1, len(table)) if isinstance(axis, int) else 0
