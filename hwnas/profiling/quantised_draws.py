"""Kernels on levels of 8 bits, as quantised networks have them."""

from dataclasses import replace

from hwnas.kernels import Kernel
from hwnas.kernels.kernel import Attribute
from hwnas.profiling.kernel_draws import Draw, kernel_of, window


def convolved(draw: Draw) -> Kernel:
    """A quantised convolution: dense, pointwise or depthwise."""
    data, stride = draw.image(4), draw.of((1, 1, 2))
    size, depthwise = draw.of(((1, False), (1, False), (3, False), (3, True), (5, True)))
    out = data[1] if depthwise else draw.channels(512)
    weight = (out, 1 if depthwise else data[1], size, size)
    outputs = (1, out, *(-(-side // stride) for side in data[2:]))
    group: dict[str, Attribute] = {"group": data[1]} if depthwise else {}
    attributes = window(size, stride) | group
    return _levels(
        kernel_of("QLinearConv", (data,), (weight, (out,)), (outputs,), (), **attributes)
    )


def multiplied(draw: Draw) -> Kernel:
    """A linear layer on levels, quantised beforehand or on the way."""
    kind = draw.of(("QGemm", "QLinearMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat"))
    inner, out = draw.channels(2048), draw.channels(2048)
    rows = 1 if kind == "QGemm" else draw.of((1, draw.tokens()))
    if kind == "QGemm":
        found = kernel_of(kind, ((1, inner),), ((out, inner), (out,)), ((1, out),), transB=1)
        return _levels(found)
    bias = ((out,),) if kind != "QLinearMatMul" else ()
    data = (1, rows, inner)
    found = kernel_of(kind, (data,), ((inner, out), *bias), ((1, rows, out),))
    return found if kind == "DynamicQuantizeMatMul" else _levels(found)


def mapped(draw: Draw) -> Kernel:
    """Sums, gates, pools and joins of levels, and the way to levels and back."""
    data = draw.image(4)
    kind = draw.of(
        ("QLinearAdd", "QLinearAdd", "QLinearMul", "QLinearSigmoid", "QLinearGlobalAveragePool")
        + ("QLinearAveragePool", "QLinearConcat", "MaxPool", "QuantizeLinear", "DequantizeLinear")
    )
    if kind == "QuantizeLinear":
        return kernel_of(kind, (data,), (), (data,))
    if kind == "QLinearAdd":
        return _levels(kernel_of(kind, (data, data), (), (data,)))
    if kind == "QLinearMul":
        return _levels(kernel_of(kind, (data, (*data[:2], 1, 1)), (), (data,)))
    if kind == "QLinearGlobalAveragePool":
        return _levels(kernel_of(kind, (data,), (), ((*data[:2], 1, 1),)))
    if kind == "QLinearConcat":
        joined = (1, 2 * data[1], *data[2:])
        return _levels(kernel_of(kind, (data, data), (), (joined,), axis=1))
    if kind in ("QLinearAveragePool", "MaxPool"):
        pooled = (*data[:2], *(side // 2 for side in data[2:]))
        attributes: dict[str, Attribute] = {"kernel_shape": (2, 2), "strides": (2, 2)}
        return _levels(kernel_of(kind, (data,), (), (pooled,), (), **attributes))
    return _levels(kernel_of(kind, (data,), (), (data,)))


def _levels(kernel: Kernel) -> Kernel:
    return replace(kernel, dtype="uint8")
