"""One kernel as a model: its operator with its attributes, shapes and random constants.

What a runtime fuses into one operator is written as the operators that it fuses,
so that the model is ONNX where it can be, and becomes that kernel again.
"""

import onnx

from hwnas.errors import HwnasError
from hwnas.export.kernel_builders import REBUILT
from hwnas.export.kernel_types import is_typed
from hwnas.export.kernel_writer import KernelWriter
from hwnas.kernels import FUSION, lower
from hwnas.kernels.kernel import RECURRENT, Kernel, Shape

_SURE = frozenset(
    {"AveragePool", "Conv", "GlobalAveragePool", "GlobalMaxPool", "HardSwish", "MaxPool", "LRN"}
    | {"Reshape"}
)
"""Operators that become themselves again whatever stands around them."""

_SEVERAL_OUTPUTS = RECURRENT | {"Split"}


def kernel_model(kernel: Kernel) -> tuple[bytes, tuple[Shape, ...]] | None:
    """A kernel's model, and the images at its wrapped edges.

    Images stand between 1×1 depthwise convolutions, but for kernels that would
    be fused to these.

    Returns:
        ``None`` where a model that contains the kernel cannot be written.
    """
    if kernel.op not in REBUILT or not is_typed(kernel):
        return None
    if len(kernel.outputs) != 1 and kernel.op not in _SEVERAL_OUTPUTS:
        return None
    if kernel.op in _SURE and len(kernel.inputs) == 1:
        return KernelWriter(kernel, wrapped=True).written(REBUILT[kernel.op])
    for wrapped in (True, False):
        try:
            model, edges = KernelWriter(kernel, wrapped=wrapped).written(REBUILT[kernel.op])
            found = lower(onnx.load_model_from_string(model), FUSION["onnxruntime"]).kernels
        # Constants in places of their own, or shapes that only a cast would give.
        except (HwnasError, KeyError, ValueError, IndexError, StopIteration, ZeroDivisionError):
            continue
        if kernel in found and found.total() == 1 + len(edges):
            return model, edges
    return None
