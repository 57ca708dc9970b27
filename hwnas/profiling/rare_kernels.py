"""Kernels of kinds that are seldom seen, and dear where they are."""

from hwnas.kernels import Kernel
from hwnas.kernels.kernel import Attribute
from hwnas.profiling.kernel_draws import Draw, kernel_of

UNARY = ("Abs", "Elu", "Erf", "Exp", "HardSigmoid", "LeakyRelu", "Neg", "Softplus", "Sqrt", "Tanh")
BINARY = ("Sub", "Div", "Max", "Min")


def _unary(draw: Draw) -> Kernel:
    data = draw.image() if draw.of((True, False)) else (1, draw.tokens(), draw.channels())
    return kernel_of(draw.of(UNARY), (data,), (), (data,))


def _binary(draw: Draw) -> Kernel:
    data = (1, draw.tokens(), draw.channels())
    kind = draw.of((*BINARY, "Pow"))
    if kind == "Pow":
        return kernel_of(kind, (data,), ((),), (data,))
    return kernel_of(kind, (data, data), (), (data,))


def _normalised(draw: Draw) -> Kernel:
    kind = draw.of(("LRN", "BatchNormalization", "InstanceNormalization", "SkipLayerNormalization"))
    if kind == "SkipLayerNormalization":
        tokens = (1, draw.tokens(), draw.channels())
        return kernel_of(kind, (tokens, tokens), (tokens[-1:],) * 2, (tokens,))
    data = draw.image(4)
    if kind == "LRN":
        return kernel_of(kind, (data,), (), (data,), size=5)
    constants = 4 if kind == "BatchNormalization" else 2
    return kernel_of(kind, (data,), (data[1:2],) * constants, (data,))


def _resized(draw: Draw) -> Kernel:
    batch, channels, rows, columns = draw.image(2)
    double = (batch, channels, 2 * rows, 2 * columns)
    kind = draw.of(("Resize", "ConvTranspose", "DepthToSpace"))
    if kind == "Resize":
        return kernel_of(kind, ((1, channels, rows, columns),), (), (double,), mode="nearest")
    if kind == "ConvTranspose":
        out = draw.channels(256)
        weights = ((channels, out, 2, 2), (out,))
        outputs = ((1, out, *double[2:]),)
        data = ((1, channels, rows, columns),)
        return kernel_of(kind, data, weights, outputs, kernel_shape=(2, 2), strides=(2, 2))
    return kernel_of(kind, ((1, 4 * channels, rows, columns),), (), (double,), blocksize=2)


def _reduced(draw: Draw) -> Kernel:
    kind = draw.of(("ReduceMean", "ReduceMax", "ReduceSum", "GlobalMaxPool"))
    if kind == "GlobalMaxPool":
        data = draw.image(4)
        return kernel_of(kind, (data,), (), ((*data[:2], 1, 1),))
    tokens = (1, draw.tokens(), draw.channels())
    return kernel_of(kind, (tokens,), (), ((*tokens[:2], 1),), axes=(2,))


def _cut(draw: Draw) -> Kernel:
    batch, channels, rows, columns = draw.image(2)
    kind = draw.of(("Slice", "Pad"))
    data, out = (batch, 2 * channels, rows, columns), (batch, channels, rows, columns)
    if kind == "Slice":
        cut: dict[str, Attribute] = {"axes": (1,), "starts": (0,), "ends": (channels,)}
        return kernel_of(kind, (data,), (), (out,), (), steps=(1,), **cut)
    padded = (batch, 2 * channels, rows + 2, columns + 2)
    pads = (0, 0, 1, 1, 0, 0, 1, 1)
    return kernel_of(kind, (data,), (), (padded,), mode="constant", pads=pads)


RARE = (_unary, _binary, _normalised, _normalised, _resized, _reduced, _cut)
"""A draw for each kind; what normalises counts twice."""
