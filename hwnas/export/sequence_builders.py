"""How operators on sequences are written again: recurrent ones, look-ups and choices."""

from collections.abc import Sequence

import numpy as np

from hwnas.errors import HwnasError
from hwnas.export.kernel_types import is_embedding
from hwnas.export.kernel_writer import Build, KernelWriter
from hwnas.kernels.kernel import RECURRENT, Shape

BIAS, LENGTHS, STATES, PEEPHOLES = 3, 4, (5, 6), 7
"""Places of what a recurrent operator reads besides data and weights."""


def _place(w: KernelWriter, shape: Shape, taken: Sequence[str]) -> int:
    """Where a tensor stands among what a recurrent operator reads; its shape tells."""
    if len(shape) == 3:
        return next(place for place in STATES if not taken[place])
    if len(shape) == 1:
        return LENGTHS
    hidden = w.kept()["hidden_size"]
    return PEEPHOLES if w.kernel.op == "LSTM" and shape[1] == 3 * hidden else BIAS


def _recurrent(w: KernelWriter, tensors: list[str]) -> str:
    """A recurrent operator, its states fed or constant as they were."""
    kernel = w.kernel
    if kernel.attribute("layout", 0) or len(kernel.weights) < 2:
        raise HwnasError(f"{kernel.op} is written of constant weights, the time axis first")
    steps, batch = kernel.inputs[0][:2]
    read = [tensors[0], *(w.random(shape) for shape in kernel.weights[:2]), *[""] * 5]
    for shape, name in zip(kernel.inputs[1:], tensors[1:], strict=True):
        if len(shape) != 3:
            raise HwnasError("lengths of sequences that are fed are zero, which costs nothing")
        read[_place(w, shape, read)] = name
    for shape in kernel.weights[2:]:
        place = _place(w, shape, read)
        full = place == LENGTHS
        read[place] = w.constant(np.full(batch, steps, np.int32)) if full else w.random(shape)
    while not read[-1]:
        read.pop()
    # All steps have four axes, the last states three. Which states those are costs the same.
    all_steps = len(kernel.outputs[0]) == 4
    outputs = [all_steps, *[True] * (len(kernel.outputs) - all_steps)]
    return w.several(kernel.op, read, outputs, **w.kept())


def _gather(w: KernelWriter, tensors: list[str]) -> str:
    if is_embedding(w.kernel):
        return w.op("Gather", w.random(w.kernel.weights[0]), tensors[0], **w.kept())
    if len(tensors) == 2:
        return w.op("Gather", *tensors, **w.kept())
    shape, data = w.kernel.weights[0], w.kernel.inputs[0]
    rows = data[int(w.kept().get("axis", 0))]
    indices = np.arange(np.prod(shape, dtype=np.int64)).reshape(shape) % rows
    return w.op("Gather", tensors[0], w.constant(indices), **w.kept())


def _where(w: KernelWriter, tensors: list[str]) -> str:
    """A choice by a condition that is fed, or by a constant one."""
    shapes = list(w.kernel.weights)
    if w.kernel.dtype != "bool":
        condition = w.constant(np.arange(np.prod(shapes[0], dtype=int)).reshape(shapes.pop(0)) < 1)
        return w.op("Where", condition, *tensors, *(w.own(shape) for shape in shapes))
    return w.op("Where", *tensors, *(w.random(shape) for shape in shapes))


SEQUENCE_BUILDERS: dict[str, Build] = {
    **dict.fromkeys(RECURRENT, _recurrent),
    "Gather": _gather,
    "Where": _where,
}
"""What writes an operator, by its type."""
