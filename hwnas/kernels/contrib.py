"""Operators that ONNX Runtime adds to ONNX, as they stand in models that it has optimised."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from hwnas.kernels.graph import Node
from hwnas.kernels.kernel import Shape

CONTRIB_DOMAIN = "com.microsoft"

_POOL_VERSION = 19
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
    if node.op == "QLinearConcat":
        return _joined(node, known[2::3])
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
    if node.op == "QLinearAveragePool" and not node.attributes.get("channels_last", 0):
        return _pooled(node, shape, dtype)
    if node.op in ("QGemm", "DynamicQuantizeMatMul"):
        return _product(node, known)
    if node.op == "MatMulIntegerToFloat":
        product = _product(node, known)
        return None if product is None else (product[0], "float32")
    return None


def _joined(node: Node, known: list[tuple[Shape, str] | None]) -> tuple[Shape, str] | None:
    """Tensors of levels, one behind the other along an axis."""
    parts = [item for item in known if item is not None]
    axis = node.attributes.get("axis")
    if not parts or len(parts) < len(known) or not isinstance(axis, int):
        return None
    shape, dtype = parts[0]
    if not -len(shape) <= axis < len(shape):
        return None
    axis %= len(shape)
    others = {(*own[:axis], *own[axis + 1 :]) for own, _ in parts}
    if len(others) > 1 or any(len(own) != len(shape) for own, _ in parts):
        return None
    return (*shape[:axis], sum(own[axis] for own, _ in parts), *shape[axis + 1 :]), dtype


def _pooled(node: Node, shape: Shape, dtype: str) -> tuple[Shape, str] | None:
    """What ONNX's own pool gives of the same window."""
    kept = ("kernel_shape", "strides", "pads", "auto_pad", "ceil_mode", "count_include_pad")
    attributes = {name: node.attributes[name] for name in kept if name in node.attributes}
    try:
        pool = helper.make_node("AveragePool", ["x"], ["y"], **attributes)
        found = onnx.shape_inference.infer_node_outputs(
            onnx.defs.get_schema("AveragePool", _POOL_VERSION),
            pool,
            {"x": helper.make_tensor_type_proto(TensorProto.FLOAT, shape)},
        )
    except (RuntimeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError):
        return None
    sizes = found["y"].tensor_type.shape.dim if "y" in found else []
    if len(sizes) != len(shape) or any(size.dim_value < 1 for size in sizes):
        return None
    return tuple(size.dim_value for size in sizes), dtype


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
