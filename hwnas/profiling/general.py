"""Kernels of all kinds, drawn at random: what the kernel model learns from for other networks.

The kernels of one space tell little about those of another family. So a profile also
measures kernels that no space asked for, over the sizes that networks for images and
tokens have.
"""

import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from hwnas.kernels import Kernel
from hwnas.kernels.kernel import Attribute, Shape

MOST_MACS = 1e9
MOST_ACTIVATIONS = 2e6
MOST_WEIGHTS = 2e7
"""No kernel is drawn that is larger than networks have them."""

SIDES = (1, 2, 4, 7, 8, 12, 14, 16, 24, 28, 32, 48, 56, 64, 112)
HEADS = (1, 2, 3, 4, 6, 8, 12)


Value = TypeVar("Value")


class _Draw:
    """Sizes as networks have them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def between(self, low: int, high: int, multiple: int = 1) -> int:
        """A multiple, uniform in the logarithm."""
        value = math.exp(self._rng.uniform(math.log(low), math.log(high)))
        return max(1, round(value / multiple)) * multiple

    def of(self, values: tuple[Value, ...]) -> Value:
        """One of some values."""
        return values[int(self._rng.integers(len(values)))]

    def channels(self, most: int = 1024) -> int:
        """Channels: mostly multiples of eight, as networks have them."""
        return self.between(8, most, self.of((8, 8, 8, 4)))

    def side(self, least: int = 1) -> int:
        """Rows and columns of an image."""
        return self.of(tuple(side for side in SIDES if side >= least))

    def image(self, least: int = 1) -> Shape:
        """An image, with batch."""
        side = self.side(least)
        return (1, self.channels(), side, side)


def _kernel(
    op: str,
    inputs: tuple[Shape, ...],
    weights: tuple[Shape, ...],
    outputs: tuple[Shape, ...],
    fused: tuple[str, ...] = (),
    **attributes: Attribute,
) -> Kernel:
    kept = tuple(sorted((name, value) for name, value in attributes.items()))
    return Kernel(op, fused, kept, inputs, weights, outputs)


def _window(size: int, stride: int) -> dict[str, Attribute]:
    """A square window that keeps the image's size but for the stride."""
    before = (size - 1) // 2
    return {"kernel_shape": (size,) * 2, "pads": (before,) * 4, "strides": (stride,) * 2}


def _convolution(draw: _Draw, size: int, groups: int, stride: int, data: Shape, out: int) -> Kernel:
    side = -(-data[2] // stride)
    outputs: Shape = (1, out, side, side)
    fused: tuple[str, ...] = draw.of(((), ("Relu",), ("HardSwish",), ("Clip",)))
    # A sum is fused to convolutions of one group on images only.
    if groups == 1 and side > 1 and draw.of((True, False, False)):
        fused = draw.of((("Add",), ("Add", "Relu")))
    inputs = (data, outputs) if "Add" in fused else (data,)
    group: dict[str, Attribute] = {"group": groups} if groups > 1 else {}
    weight = (out, data[1] // groups, size, size)
    return _kernel(
        "Conv", inputs, (weight, (out,)), (outputs,), fused, **_window(size, stride), **group
    )


def _pointwise(draw: _Draw) -> Kernel:
    return _convolution(draw, 1, 1, draw.of((1, 1, 1, 2)), draw.image(2), draw.channels())


def _dense(draw: _Draw) -> Kernel:
    stride, data = draw.of((1, 1, 1, 2)), draw.image(4)
    if draw.of((False, False, False, True)):
        data = (1, 3, draw.side(24), 0)
        data = (*data[:3], data[2])
    return _convolution(draw, draw.of((3, 3, 3, 5, 7)), 1, stride, data, draw.channels(512))


def _depthwise(draw: _Draw) -> Kernel:
    data = draw.image(2)
    return _convolution(draw, draw.of((3, 3, 5, 7)), data[1], draw.of((1, 1, 2)), data, data[1])


def _grouped(draw: _Draw) -> Kernel:
    groups, side = draw.of((2, 4, 8, 16, 32)), draw.side(4)
    channels = groups * draw.between(4, 64, 4)
    out = channels * draw.of((1, 1, 2))
    data = (1, channels, side, side)
    return _convolution(draw, draw.of((1, 3, 3)), groups, draw.of((1, 1, 2)), data, out)


def _vector(draw: _Draw) -> Kernel:
    channels, out = draw.channels(4096), draw.channels(4096)
    fused: tuple[str, ...] = draw.of(((), ("Relu",), ("HardSigmoid",), ("Sigmoid",)))
    data, weights = (1, channels, 1, 1), ((out, channels, 1, 1), (out,))
    return _kernel("Conv", (data,), weights, ((1, out, 1, 1),), fused, **_window(1, 1))


def _linear(draw: _Draw) -> Kernel:
    rows = draw.of((1, 16, 17, 49, 64, 65, 128, 196, 197))
    inner, out = draw.channels(4096 if rows == 1 else 1536), draw.channels(4096)
    weights = ((inner, out), (out,)) if rows > 1 else ((out, inner), (out,))
    kept: dict[str, Attribute] = {} if rows > 1 else {"transB": 1}
    return _kernel("Gemm", ((rows, inner),), weights, ((rows, out),), (), **kept)


def _tokens(draw: _Draw) -> int:
    return draw.of((16, 17, 49, 64, 65, 128, 196, 197))


def _product(draw: _Draw) -> Kernel:
    heads, tokens, size = draw.of(HEADS), _tokens(draw), draw.of((16, 32, 64))
    one, two = (1, heads, tokens, size), (1, heads, size, tokens)
    if draw.of((True, False)):
        return _kernel("MatMul", (one, two), (), ((1, heads, tokens, tokens),))
    return _kernel("MatMul", ((1, heads, tokens, tokens), one), (), (one,))


def _of_tokens(draw: _Draw) -> Kernel:
    tokens, heads = _tokens(draw), draw.of(HEADS)
    shape = (1, tokens, draw.channels(1024))
    kind = draw.of(("Softmax", "LayerNormalization", "Gelu", "Add", "Reshape", "Transpose"))
    if kind == "Softmax":
        scores = (1, heads, tokens, tokens)
        return _kernel(kind, (scores,), (), (scores,), axis=-1)
    if kind == "LayerNormalization":
        return _kernel(kind, (shape,), (shape[-1:],) * 2, (shape,), axis=-1)
    if kind == "Add":
        return _kernel(kind, (shape, shape), (), (shape,))
    if kind == "Reshape":
        return _kernel(kind, (shape[1:],), (), (shape,))
    if kind == "Transpose":
        size = draw.of((16, 32, 64))
        order = draw.of(((0, 2, 1, 3), (0, 2, 3, 1)))
        data = (1, tokens, heads, size)
        return _kernel(kind, (data,), (), (tuple(data[axis] for axis in order),), perm=order)
    return _kernel(kind, (shape,), (), (shape,))


def _elements(draw: _Draw) -> Kernel:
    data = draw.image()
    kind = draw.of(("Add", "Mul", "Mul", "Relu", "HardSwish", "QuickGelu", "Sigmoid"))
    if kind == "Add":
        return _kernel(kind, (data, data), (), (data,))
    if kind == "Mul":
        return _kernel(kind, (data, (*data[:2], 1, 1)), (), (data,))
    return _kernel(kind, (data,), (), (data,))


def _pool(draw: _Draw) -> Kernel:
    data = draw.image(4)
    kind = draw.of(("GlobalAveragePool", "GlobalAveragePool", "MaxPool", "AveragePool"))
    if kind == "GlobalAveragePool":
        return _kernel(kind, (data,), (), ((*data[:2], 1, 1),))
    size, stride = draw.of((2, 3)), draw.of((1, 2))
    pad = (size - 1) // 2
    side = (data[2] + 2 * pad - size) // stride + 1
    return _kernel(
        kind,
        (data,),
        (),
        ((*data[:2], side, side),),
        kernel_shape=(size,) * 2,
        pads=(pad,) * 4,
        strides=(stride,) * 2,
    )


def _moved(draw: _Draw) -> Kernel:
    data = draw.image(2)
    side = data[2]
    half = 4 * draw.between(2, 128)
    kind = draw.of(("Concat", "Split", "Shuffle"))
    small, double = (1, half, side, side), (1, 2 * half, side, side)
    if kind == "Concat":
        return _kernel(kind, (small, small), (), (double,), axis=1)
    if kind == "Split":
        return _kernel(kind, (double,), (), (small, small), axis=1)
    shape, order = (1, 2, half, side, side), (0, 2, 1, 3, 4)
    out = tuple(shape[axis] for axis in order)
    return _kernel("Transpose", (shape,), (), (out,), perm=order)


UNARY = ("Abs", "Elu", "Erf", "Exp", "HardSigmoid", "LeakyRelu", "Neg", "Softplus", "Sqrt", "Tanh")
BINARY = ("Sub", "Div", "Max", "Min")


def _unary(draw: _Draw) -> Kernel:
    data = draw.image() if draw.of((True, False)) else (1, _tokens(draw), draw.channels())
    return _kernel(draw.of(UNARY), (data,), (), (data,))


def _binary(draw: _Draw) -> Kernel:
    data = (1, _tokens(draw), draw.channels())
    kind = draw.of((*BINARY, "Pow"))
    if kind == "Pow":
        return _kernel(kind, (data,), ((),), (data,))
    return _kernel(kind, (data, data), (), (data,))


def _normalised(draw: _Draw) -> Kernel:
    kind = draw.of(("LRN", "BatchNormalization", "InstanceNormalization", "SkipLayerNormalization"))
    if kind == "SkipLayerNormalization":
        tokens = (1, _tokens(draw), draw.channels())
        return _kernel(kind, (tokens, tokens), (tokens[-1:],) * 2, (tokens,))
    data = draw.image(4)
    if kind == "LRN":
        return _kernel(kind, (data,), (), (data,), size=5)
    constants = 4 if kind == "BatchNormalization" else 2
    return _kernel(kind, (data,), (data[1:2],) * constants, (data,))


def _resized(draw: _Draw) -> Kernel:
    batch, channels, rows, columns = draw.image(2)
    double = (batch, channels, 2 * rows, 2 * columns)
    kind = draw.of(("Resize", "ConvTranspose", "DepthToSpace"))
    if kind == "Resize":
        return _kernel(kind, ((1, channels, rows, columns),), (), (double,), mode="nearest")
    if kind == "ConvTranspose":
        out = draw.channels(256)
        weights = ((channels, out, 2, 2), (out,))
        outputs = ((1, out, *double[2:]),)
        data = ((1, channels, rows, columns),)
        return _kernel(kind, data, weights, outputs, kernel_shape=(2, 2), strides=(2, 2))
    return _kernel(kind, ((1, 4 * channels, rows, columns),), (), (double,), blocksize=2)


def _reduced(draw: _Draw) -> Kernel:
    kind = draw.of(("ReduceMean", "ReduceMax", "ReduceSum", "GlobalMaxPool"))
    if kind == "GlobalMaxPool":
        data = draw.image(4)
        return _kernel(kind, (data,), (), ((*data[:2], 1, 1),))
    tokens = (1, _tokens(draw), draw.channels())
    return _kernel(kind, (tokens,), (), ((*tokens[:2], 1),), axes=(2,))


def _cut(draw: _Draw) -> Kernel:
    batch, channels, rows, columns = draw.image(2)
    kind = draw.of(("Slice", "Pad"))
    data, out = (batch, 2 * channels, rows, columns), (batch, channels, rows, columns)
    if kind == "Slice":
        cut: dict[str, Attribute] = {"axes": (1,), "starts": (0,), "ends": (channels,)}
        return _kernel(kind, (data,), (), (out,), (), steps=(1,), **cut)
    padded = (batch, 2 * channels, rows + 2, columns + 2)
    pads = (0, 0, 1, 1, 0, 0, 1, 1)
    return _kernel(kind, (data,), (), (padded,), mode="constant", pads=pads)


RARE = (_unary, _binary, _normalised, _normalised, _resized, _reduced, _cut)
RARE_EVERY = 8
"""Every so many kernels one is of a kind that is seldom seen, and dear where it is."""

KINDS: Mapping[Callable[[_Draw], Kernel], int] = {
    _pointwise: 24,
    _dense: 16,
    _depthwise: 14,
    _grouped: 8,
    _vector: 5,
    _linear: 10,
    _product: 5,
    _of_tokens: 6,
    _elements: 6,
    _pool: 3,
    _moved: 3,
}
"""How many of a hundred kernels are of each of the usual kinds."""


def general_kernels(count: int, seed: int) -> list[Kernel]:
    """Distinct kernels of all kinds; the first of a longer list are those of a shorter one.

    Args:
        count: How many.
        seed: Seed of the draws.
    """
    rng, rare = (np.random.default_rng([seed, number]) for number in (0x6B65726E, 0x72617265))
    draw, other, kinds = _Draw(rng), _Draw(rare), list(KINDS)
    shares = np.array(list(KINDS.values())) / sum(KINDS.values())
    found: dict[str, Kernel] = {}
    while len(found) < count:
        if len(found) % RARE_EVERY == RARE_EVERY - 1:
            kernel = RARE[int(rare.integers(len(RARE)))](other)
        else:
            kernel = kinds[int(rng.choice(len(kinds), p=shares))](draw)
        if (
            kernel.macs <= MOST_MACS
            and kernel.input_elements + kernel.output_elements <= MOST_ACTIVATIONS
            and kernel.weight_elements <= MOST_WEIGHTS
        ):
            found.setdefault(kernel.key, kernel)
    return list(found.values())
