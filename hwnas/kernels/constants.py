"""Values of small constant expressions: what shapes are computed by, as exporters write them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

LIMIT = 1024
"""Most elements of a constant whose value is kept: shapes, axes, scales, not weights."""

Array = NDArray[Any]
Evaluate = Callable[[Sequence[Array], Mapping[str, Any]], Array]


def small_value(tensor: onnx.TensorProto) -> Array | None:
    """The value of a tensor of at most :data:`LIMIT` elements that is held in the model."""
    size = 1
    for side in tensor.dims:
        size *= side
    if not 0 <= size <= LIMIT or tensor.data_location == onnx.TensorProto.EXTERNAL:
        return None
    try:
        value = numpy_helper.to_array(tensor)
    # A constant whose data do not fit its shape is no error here: weights need no values.
    except (ValueError, TypeError, IndexError, KeyError, OverflowError):
        return None
    return value if value.dtype.kind in "fiub" and value.size == size else None


def constant_value(attributes: Mapping[str, Any]) -> Array | None:
    """The value of a ``Constant`` operator of these attributes; ``None`` where it is large."""
    if isinstance(attributes.get("value"), onnx.TensorProto):
        return small_value(attributes["value"])
    for name, dtype in (("value_int", np.int64), ("value_float", np.float32)):
        for key in (name, f"{name}s"):
            if attributes.get(key) is not None:
                return np.asarray(attributes[key], dtype)
    return None


def evaluated(op: str, inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array | None:
    """The value that an operator gives on constants; ``None`` where it is not known.

    Args:
        op: Operator type.
        inputs: Values of its inputs.
        attributes: Its attributes.
    """
    evaluate = _EVALUATED.get(op)
    if evaluate is None:
        return None
    try:
        with np.errstate(all="ignore"):
            found = np.asarray(evaluate(inputs, attributes))
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, ZeroDivisionError):
        return None
    return found if found.size <= LIMIT and found.dtype.kind in "fiub" else None


def _small(shape: Array) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in shape.reshape(-1))
    if any(not 0 <= size <= LIMIT for size in sizes) or np.prod(sizes, dtype=float) > LIMIT:
        raise ValueError("too large to be a shape")
    return sizes


def _axes(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> tuple[int, ...] | None:
    if len(inputs) > 1:
        return tuple(int(axis) for axis in inputs[1].reshape(-1))
    axes = attributes.get("axes")
    return None if axes is None else tuple(axes)


def _unsqueeze(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    return np.expand_dims(inputs[0], _axes(inputs, attributes) or ())


def _squeeze(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    return np.squeeze(inputs[0], _axes(inputs, attributes))


def _divide(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    first, second = inputs
    if first.dtype.kind == "f":
        return np.asarray(first / second)
    if not np.all(second):
        raise ZeroDivisionError
    # ONNX divides integers towards zero.
    sign = np.sign(first) * np.sign(second)
    return np.asarray(sign * (np.abs(first) // np.abs(second)), first.dtype)


def _slice(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    data, *rest = inputs
    if rest:
        starts, ends = rest[0].reshape(-1), rest[1].reshape(-1)
        axes = rest[2].reshape(-1) if len(rest) > 2 else range(len(starts))
        steps = rest[3].reshape(-1) if len(rest) > 3 else [1] * len(starts)
    else:
        starts, ends = attributes["starts"], attributes["ends"]
        axes, steps = attributes.get("axes", range(len(starts))), [1] * len(starts)
    where = [slice(None)] * data.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 0 and end < -data.shape[axis]:
            where[axis] = slice(int(start), None, int(step))
        else:
            where[axis] = slice(int(start), int(end), int(step))
    return np.asarray(data[tuple(where)])


def _reshape(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    data = inputs[0]
    sizes = [int(size) for size in inputs[1].reshape(-1)]
    if not attributes.get("allowzero", 0):
        sizes = [data.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    return data.reshape(sizes)


def _range(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    start, end, step = (item.reshape(-1)[0] for item in inputs)
    if step == 0 or (float(end) - float(start)) / float(step) > LIMIT:
        raise ValueError("too large to be a shape")
    return np.arange(start, end, step, dtype=inputs[0].dtype)


def _cast(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    return inputs[0].astype(helper.tensor_dtype_to_np_dtype(attributes["to"]))


def _constant_of_shape(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    value = attributes.get("value")
    fill = np.float32(0) if value is None else numpy_helper.to_array(value).reshape(-1)[0]
    return np.full(_small(inputs[0]), fill)


def _concat(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    return np.concatenate(inputs, axis=attributes["axis"])


def _gather(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    return np.asarray(np.take(inputs[0], inputs[1], axis=attributes.get("axis", 0)))


def _product(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
    keep = bool(attributes.get("keepdims", 1))
    return np.asarray(np.prod(inputs[0], axis=_axes(inputs, attributes), keepdims=keep))


def _mapped(function: Callable[..., Any]) -> Evaluate:
    def evaluate(inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array:
        if np.prod(np.broadcast_shapes(*(item.shape for item in inputs)), dtype=float) > LIMIT:
            raise ValueError("too large to be a shape")
        return np.asarray(function(*inputs))

    return evaluate


_MAPPED: Mapping[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Mod": np.mod,
    "Equal": np.equal,
    "Greater": np.greater,
    "Less": np.less,
    "GreaterOrEqual": np.greater_equal,
    "LessOrEqual": np.less_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Not": np.logical_not,
    "Where": np.where,
    "Neg": np.negative,
    "Abs": np.abs,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Sqrt": np.sqrt,
    "Min": lambda *inputs: np.min(np.broadcast_arrays(*inputs), axis=0),
    "Max": lambda *inputs: np.max(np.broadcast_arrays(*inputs), axis=0),
}

_EVALUATED: Mapping[str, Evaluate] = {
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Div": _divide,
    "Slice": _slice,
    "Reshape": _reshape,
    "Range": _range,
    "Cast": _cast,
    "ConstantOfShape": _constant_of_shape,
    "Concat": _concat,
    "Gather": _gather,
    "ReduceProd": _product,
    "Identity": lambda inputs, attributes: inputs[0],
    "Expand": lambda inputs, attributes: inputs[0] * np.ones(_small(inputs[1]), inputs[0].dtype),
    "Transpose": lambda inputs, attributes: np.transpose(inputs[0], attributes.get("perm")),
    **{op: _mapped(function) for op, function in _MAPPED.items()},
}
