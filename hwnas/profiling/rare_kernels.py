"""Kernels of kinds that are seldom seen, and dear where they are."""

from hwnas.kernels import Kernel
from hwnas.kernels.kernel import Attribute
from hwnas.profiling.kernel_draws import Draw, kernel_of
from hwnas.profiling.quantised_draws import convolved, mapped, multiplied
from hwnas.profiling.sequence_draws import chosen, looked_up, recurrent

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
    kind = draw.of(("BatchNormalization", "InstanceNormalization", "SkipLayerNormalization"))
    if kind == "SkipLayerNormalization":
        tokens = (1, draw.tokens(), draw.channels())
        return kernel_of(kind, (tokens, tokens), (tokens[-1:],) * 2, (tokens,))
    data = draw.image(4)
    constants = 4 if kind == "BatchNormalization" else 2
    return kernel_of(kind, (data,), (data[1:2],) * constants, (data,))


def _across_channels(draw: Draw) -> Kernel:
    """LRN, which stands behind the first convolutions of older networks only, on large images."""
    side = draw.of((13, 26, 27, 28, 54, 55, 56, 56, 110))
    image = (1, draw.of((64, 96, 96, 128, 192, 256)), side, side)
    return kernel_of("LRN", (image,), (), (image,), size=5)


_NEAREST: dict[str, Attribute] = {
    "mode": "nearest",
    "coordinate_transformation_mode": "asymmetric",
    "nearest_mode": "floor",
}
_SCALED: tuple[dict[str, Attribute], ...] = (
    {"mode": "nearest"},
    _NEAREST,
    _NEAREST,
    {"mode": "linear"},
    {"mode": "linear", "coordinate_transformation_mode": "align_corners"},
    {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
)
"""How images are made larger; what is not stated is as ONNX has it."""

_TRANSPOSED: tuple[tuple[int, dict[str, Attribute]], ...] = (
    (2, {}),
    (3, {"pads": (1, 1, 1, 1), "output_padding": (1, 1)}),
    (4, {"pads": (1, 1, 1, 1)}),
)
"""Windows of transposed convolutions that double an image, with what makes them do so."""


def _resized(draw: Draw) -> Kernel:
    batch, channels, rows, columns = draw.image(2)
    kind = draw.of(("Resize", "Resize", "ConvTranspose", "ConvTranspose", "DepthToSpace"))
    data, double = (batch, channels, rows, columns), (batch, channels, 2 * rows, 2 * columns)
    if kind == "Resize":
        factor = draw.of((2, 2, 2, 4))
        larger = (batch, channels, factor * rows, factor * columns)
        return kernel_of(kind, (data,), (), (larger,), (), **draw.of(_SCALED))
    if kind == "ConvTranspose":
        out = draw.channels(256)
        size, kept = draw.of(_TRANSPOSED)
        weights, outputs = ((channels, out, size, size), (out,)), ((1, out, *double[2:]),)
        kept = {"kernel_shape": (size, size), "strides": (2, 2), **kept}
        return kernel_of(kind, (data,), weights, outputs, (), **kept)
    return kernel_of(kind, ((1, 4 * channels, rows, columns),), (), (double,), blocksize=2)


def _reduced(draw: Draw) -> Kernel:
    kind = draw.of(("ReduceMean", "ReduceMean", "ReduceMax", "ReduceSum", "GlobalMaxPool"))
    if kind == "GlobalMaxPool":
        data = draw.image(4)
        return kernel_of(kind, (data,), (), ((*data[:2], 1, 1),))
    if draw.of((True, False)):
        data, kept = draw.image(4), draw.of((True, False))
        out = (*data[:2], 1, 1) if kept else data[:2]
        flag: dict[str, Attribute] = {} if kept else {"keepdims": 0}
        return kernel_of(kind, (data,), (), (out,), (), axes=(2, 3), **flag)
    tokens = (1, draw.tokens(), draw.channels())
    return kernel_of(kind, (tokens,), (), ((*tokens[:2], 1),), axes=(2,))


def _cut(draw: Draw) -> Kernel:
    batch, channels, rows, columns = draw.image(2)
    kind = draw.of(("Channels", "Pixels", "Pad"))
    if kind == "Channels":
        cut: dict[str, Attribute] = {"axes": (1,), "starts": (0,), "ends": (channels,)}
        data, out = (batch, 2 * channels, rows, columns), (batch, channels, rows, columns)
        return kernel_of("Slice", (data,), (), (out,), (), steps=(1,), **cut)
    if kind == "Pixels":
        # Every second row or column, as patches are merged.
        axis = draw.of((2, 3))
        twice = [batch, channels, rows, columns]
        twice[axis] *= 2
        cut = {"axes": (axis,), "starts": (0,), "ends": (twice[axis],)}
        out = (batch, channels, rows, columns)
        return kernel_of("Slice", (tuple(twice),), (), (out,), (), steps=(2,), **cut)
    data, padded = (batch, channels, rows, columns), (batch, channels, rows + 2, columns + 2)
    pads = (0, 0, 1, 1, 0, 0, 1, 1)
    return kernel_of(kind, (data,), (), (padded,), mode="constant", pads=pads)


def _turned(draw: Draw) -> Kernel:
    """An image to channels last or back, or its pixels to tokens."""
    data = draw.image(4)
    order = draw.of(((0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1)))
    if len(order) == 3:
        data = (*data[:2], data[2] * data[3])
    return kernel_of("Transpose", (data,), (), (tuple(data[axis] for axis in order),), perm=order)


RARE = (
    *(_unary, _binary, _normalised, _normalised, _across_channels, _resized, _resized, _reduced),
    *(_reduced, _cut, _turned, recurrent, recurrent, looked_up, chosen, chosen),
    *(convolved, multiplied, mapped),
)
"""A draw for each kind; of what there are many kinds counts twice."""
