"""ONNX operators that move, join, reduce and convert tensors, as torch calls.

A part of ``torch_ops.py``, which says how these functions are called.
"""

import math

import torch

OPERATORS = {}


def operator(*names):
    """Register a function for operator types."""

    def register(function):
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


@operator("Constant")
def _constant(s):
    for name in ("value", "value_float", "value_int", "value_floats", "value_ints"):
        found = s.attribute(name)
        if found is not None:
            return s.builder.constant(found)
    raise s.refused("its kind of value is not known")


@operator("ConstantOfShape")
def _constant_of_shape(s):
    given = s.attribute("value")
    fill = torch.zeros(1) if given is None else s.builder.constant(given).tensor
    kind = s.builder.precise(fill.dtype)
    return s.builder.held(torch.full(s.integers(0), fill.reshape(-1)[0].item(), dtype=kind))


@operator("Shape")
def _shape(s):
    shape = s.value(0).shape[s.attribute("start", 0) : s.attribute("end")]
    return s.builder.held(torch.tensor(shape, dtype=torch.int64))


@operator("Size")
def _size(s):
    return s.builder.held(torch.tensor(math.prod(s.value(0).shape), dtype=torch.int64))


@operator("Range")
def _range(s):
    return s.builder.held(torch.arange(s.number(0), s.number(1), s.number(2)))


@operator("Cast")
def _cast(s):
    dtype = s.type(s.attribute("to"))
    x = s.value(0)
    return x if x.tensor.dtype == dtype else s.call(torch.Tensor.to, x, dtype)


@operator("CastLike")
def _cast_like(s):
    return s.call(torch.Tensor.to, s.value(0), s.value(1).tensor.dtype)


@operator("Flatten")
def _flatten(s):
    shape, axis = s.value(0).shape, s.attribute("axis", 1)
    axis += len(shape) if axis < 0 else 0
    return s.call(torch.reshape, s.value(0), [math.prod(shape[:axis]), math.prod(shape[axis:])])


@operator("Reshape")
def _reshape(s):
    x, wanted = s.value(0), s.integers(1)
    if not s.attribute("allowzero", 0):
        wanted = [x.shape[i] if size == 0 else size for i, size in enumerate(wanted)]
    return s.call(torch.reshape, x, wanted)


@operator("Squeeze")
def _squeeze(s):
    x, axes = s.value(0), s.integers(1)
    chosen = [i for i, n in enumerate(x.shape) if n == 1] if axes is None else axes
    gone = {axis % x.rank for axis in chosen}
    return s.call(torch.reshape, x, [n for i, n in enumerate(x.shape) if i not in gone])


@operator("Unsqueeze")
def _unsqueeze(s):
    x, axes = s.value(0), s.integers(1)
    rank = x.rank + len(axes)
    new, sizes = {axis % rank for axis in axes}, iter(x.shape)
    return s.call(torch.reshape, x, [1 if i in new else next(sizes) for i in range(rank)])


@operator("Transpose")
def _transpose(s):
    order = s.attribute("perm") or list(reversed(range(s.value(0).rank)))
    return s.call(torch.permute, s.value(0), list(order))


@operator("Concat")
def _concat(s):
    return s.call(torch.cat, s.values(), s.attribute("axis"))


@operator("Split")
def _split(s):
    x, axis, sizes = s.value(0), s.attribute("axis", 0), s.integers(1)
    if sizes is None:
        each = -(-x.shape[axis] // s.outputs)
        sizes = [each] * (s.outputs - 1)
        sizes.append(x.shape[axis] - sum(sizes))
    return s.call(torch.split, x, sizes, axis)


def _take(x, axis, begin, end, step):
    """A slice along one axis; torch has no negative steps, so these flip first."""
    if step < 0:
        x, begin, end, step = (
            x.flip(axis),
            x.shape[axis] - 1 - begin,
            x.shape[axis] - 1 - end,
            -step,
        )
    return x[(slice(None),) * axis + (slice(begin, end, step),)]


@operator("Slice")
def _slice(s):
    x, starts, ends = s.value(0), s.integers(1), s.integers(2)
    axes = s.integers(3) or list(range(len(starts)))
    steps = s.integers(4) or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= x.rank
        size = x.shape[axis]
        begin, stop, _ = slice(start, end, step).indices(size)
        x = s.call(_take, x, axis, begin, stop, step)
    return x


@operator("Gather")
def _gather(s):
    x, axis = s.value(0), s.attribute("axis", 0) % s.value(0).rank
    index = s.value(1)
    if index.node is None:
        fixed = torch.where(index.tensor < 0, index.tensor + x.shape[axis], index.tensor)
        if index.rank == 0:
            return s.call(torch.select, x, axis, int(fixed))
        index = s.builder.held(fixed)
    flat = s.call(torch.index_select, x, axis, s.call(torch.reshape, index, [-1]))
    return s.call(torch.reshape, flat, [*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]])


@operator("GatherElements")
def _gather_elements(s):
    return s.call(torch.gather, s.value(0), s.attribute("axis", 0), s.value(1))


@operator("Expand")
def _expand(s):
    x = s.value(0)
    shape = torch.broadcast_shapes(x.shape, tuple(s.integers(1)))
    return s.call(torch.Tensor.expand, x, list(shape))


@operator("Tile")
def _tile(s):
    return s.call(torch.tile, s.value(0), s.integers(1))


def _sum_square(x, axes, keepdim):
    return torch.sum(x * x, axes, keepdim=keepdim)


def _product(x, axes, keepdim):
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        x = torch.prod(x, axis, keepdim=keepdim)
    return x


def _l1(x, axes, keepdim):
    return torch.sum(torch.abs(x), axes, keepdim=keepdim)


def _l2(x, axes, keepdim):
    return torch.sqrt(_sum_square(x, axes, keepdim))


def _log_sum(x, axes, keepdim):
    return torch.log(torch.sum(x, axes, keepdim=keepdim))


_REDUCTIONS = {
    "ReduceMean": torch.mean, "ReduceSum": torch.sum, "ReduceMax": torch.amax,
    "ReduceMin": torch.amin, "ReduceProd": _product, "ReduceL1": _l1, "ReduceL2": _l2,
    "ReduceSumSquare": _sum_square, "ReduceLogSum": _log_sum, "ReduceLogSumExp": torch.logsumexp,
}  # fmt: skip


@operator(*_REDUCTIONS)
def _reduce(s):
    x = s.value(0)
    axes = s.attribute("axes")
    axes = s.integers(1) if axes is None else list(axes)
    if not axes:
        if s.attribute("noop_with_empty_axes", 0):
            return x
        axes = list(range(x.rank))
    keep = bool(s.attribute("keepdims", 1))
    return s.call(_REDUCTIONS[s.node.op_type], x, axes, keepdim=keep)


@operator("ArgMax", "ArgMin")
def _arg(s):
    if s.attribute("select_last_index", 0):
        raise s.refused("select_last_index is not known")
    function = torch.argmax if s.node.op_type == "ArgMax" else torch.argmin
    return s.call(
        function, s.value(0), s.attribute("axis", 0), keepdim=bool(s.attribute("keepdims", 1))
    )


@operator("TopK")
def _top_k(s):
    axis, largest = s.attribute("axis", -1), bool(s.attribute("largest", 1))
    return s.call(torch.topk, s.value(0), s.integers(1)[0], axis, largest, True)


@operator("CumSum")
def _cum_sum(s):
    if s.attribute("exclusive", 0) or s.attribute("reverse", 0):
        raise s.refused("exclusive and reverse are not known")
    return s.call(torch.cumsum, s.value(0), s.integers(1)[0])


@operator("Trilu")
def _trilu(s):
    function = torch.triu if s.attribute("upper", 1) else torch.tril
    return s.call(function, s.value(0), int(s.number(1) or 0))
