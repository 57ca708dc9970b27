"""Operators that ONNX Runtime adds to ONNX, as they stand in models that it has optimised."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.kernels.graph import Node
from hwnas.kernels.kernel import Shape

CONTRIB_DOMAIN = "com.microsoft"

_AS_FIRST = frozenset(
    {
        "BiasGelu",
        "FastGelu",
        "Gelu",
        "QLinearLeakyRelu",
        "QLinearSigmoid",
        "QLinearSoftmax",
        "QuickGelu",
        "SkipLayerNormalization",
    }
)


def contrib_type(
    node: Node, types: Mapping[str, tuple[Shape, str]], values: Mapping[str, NDArray[Any]]
) -> tuple[Shape, str] | None:
    """Shape and element type of the first output; ``None`` for operators that are not known.

    Args:
        node: An operator of :data:`CONTRIB_DOMAIN`, the types of whose inputs are known.
        types: Shape and element type by tensor.
        values: Values of small constants by tensor.
    """
    known = [types.get(tensor) for tensor in node.inputs]
    if not known or known[0] is None:
        return None
    shape, dtype = known[0]
    if node.op in _AS_FIRST:
        return shape, dtype
    if node.op in ("QLinearAdd", "QLinearMul") and len(known) > 3 and known[3] is not None:
        try:
            return tuple(np.broadcast_shapes(shape, known[3][0])), dtype
        except ValueError:
            return None
    if node.op == "QLinearGlobalAveragePool" and not node.attributes.get("channels_last", 0):
        return (*shape[:2], *(1 for _ in shape[2:])), dtype
    if node.op in ("QGemm", "DynamicQuantizeMatMul"):
        return _product(node, known)
    return None


def _product(node: Node, known: list[tuple[Shape, str] | None]) -> tuple[Shape, str] | None:
    position = 3 if node.op == "QGemm" else 1
    left, right = known[0], known[position] if len(known) > position else None
    if left is None or right is None or len(right[0]) != 2 or len(left[0]) < 2:
        return None
    transposed = node.attributes.get("transB", 0)
    inner, outer = right[0][::-1] if transposed else right[0]
    if left[0][-1] != inner or node.attributes.get("transA", 0):
        return None
    return (*left[0][:-1], outer), left[1]
