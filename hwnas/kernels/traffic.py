"""What a kernel reads and writes: which share of its tensors, and in elements of which size."""

import math
from collections.abc import Iterable

Shape = tuple[int, ...]

DTYPE_BYTES = {
    "float32": 4,
    "float16": 2,
    "bfloat16": 2,
    "float64": 8,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "uint64": 8,
    "bool": 1,
}
"""Bytes of one element by its type."""

COMPARED = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})
"""Operators that compare element by element."""

_PARTLY_READ = frozenset({"Gather", "GatherElements", "GatherND", "Slice"})
_ONNX_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
_FLOAT, _INDEX, _SUM = 4, 8, 4

_WRITTEN_BYTES = {
    **dict.fromkeys(COMPARED, 1),
    **dict.fromkeys(("ArgMax", "ArgMin"), _INDEX),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), _SUM),
    "QuantizeLinear": 1,
    **dict.fromkeys(("DequantizeLinear", "MatMulIntegerToFloat"), _FLOAT),
}
_CONSTANT_BYTES = {"DynamicQuantizeMatMul": 1, "MatMulIntegerToFloat": 1}


def read_elements(op: str, shapes: Iterable[Shape], written: int) -> int:
    """How many elements of some tensors an operator reads.

    Args:
        op: Operator type. Those that look up or cut read no more than they write.
        shapes: Shapes of the tensors.
        written: Elements of all outputs.
    """
    sizes = (math.prod(shape) for shape in shapes)
    return sum(min(size, written) for size in sizes) if op in _PARTLY_READ else sum(sizes)


def moved_bytes(
    op: str, dtype: str, cast_to: object, read: tuple[int, int, int], written: int
) -> int:
    """Bytes that an operator reads and writes if every element is touched once.

    The types of the tensors besides the first are not part of a kernel. They follow
    from the operator, and are taken to be 32-bit floats where they could be several.

    Args:
        op: Operator type.
        dtype: Element type of the first activation.
        cast_to: For ``Cast``, the number that ONNX gives the type that it casts to.
        read: Elements read of the first activation, of the other activations and of constants.
        written: Elements of all outputs.
    """
    own = DTYPE_BYTES.get(dtype, 4)
    others, constants, out = own, _CONSTANT_BYTES.get(op, own), _WRITTEN_BYTES.get(op, own)
    if op == "Cast":
        out = _ONNX_BYTES.get(cast_to, _FLOAT) if isinstance(cast_to, int) else _FLOAT
    elif op in ("Where", "Gather") and dtype in ("bool", "int32", "int64"):
        # A condition chooses among floats, and an index looks up a table of floats.
        others = constants = out = _FLOAT
    elif op == "Gather":
        others = constants = _INDEX
    first, rest, held = read
    return first * own + rest * others + held * constants + written * out
