"""Kernels of all kinds, drawn at random: what the kernel model learns from for other networks.

The kernels of one space tell little about those of another family. So a profile also
measures kernels that no space asked for, over the sizes that networks for images and
tokens have.
"""

from collections.abc import Callable, Mapping

import numpy as np

from hwnas.kernels import Kernel
from hwnas.kernels.kernel import Attribute, Shape
from hwnas.profiling.kernel_draws import HEADS, Draw, kernel_of, window
from hwnas.profiling.rare_kernels import RARE

MOST_MACS = 1e9
MOST_ACTIVATIONS = 2e6
MOST_WEIGHTS = 2e7
"""No kernel is drawn that is larger than networks have them."""


def _convolution(draw: Draw, size: int, groups: int, stride: int, data: Shape, out: int) -> Kernel:
    side = -(-data[2] // stride)
    outputs: Shape = (1, out, side, side)
    fused: tuple[str, ...] = draw.of(((), ("Relu",), ("HardSwish",), ("Clip",)))
    # A sum is fused to convolutions of one group on images only.
    if groups == 1 and side > 1 and draw.of((True, False, False)):
        fused = draw.of((("Add",), ("Add", "Relu")))
    inputs = (data, outputs) if "Add" in fused else (data,)
    group: dict[str, Attribute] = {"group": groups} if groups > 1 else {}
    weight = (out, data[1] // groups, size, size)
    return kernel_of(
        "Conv", inputs, (weight, (out,)), (outputs,), fused, **window(size, stride), **group
    )


def _pointwise(draw: Draw) -> Kernel:
    return _convolution(draw, 1, 1, draw.of((1, 1, 1, 2)), draw.image(2), draw.channels())


def _dense(draw: Draw) -> Kernel:
    stride, data = draw.of((1, 1, 1, 2)), draw.image(4)
    if draw.of((False, False, False, True)):
        side = draw.side(24)
        data = (1, 3, side, side)
    return _convolution(draw, draw.of((3, 3, 3, 5, 7)), 1, stride, data, draw.channels(512))


def _depthwise(draw: Draw) -> Kernel:
    data = draw.image(2)
    return _convolution(draw, draw.of((3, 3, 5, 7)), data[1], draw.of((1, 1, 2)), data, data[1])


def _grouped(draw: Draw) -> Kernel:
    groups, side = draw.of((2, 4, 8, 16, 32)), draw.side(4)
    channels = groups * draw.between(4, 64, 4)
    out = channels * draw.of((1, 1, 2))
    data = (1, channels, side, side)
    return _convolution(draw, draw.of((1, 3, 3)), groups, draw.of((1, 1, 2)), data, out)


def _vector(draw: Draw) -> Kernel:
    channels, out = draw.channels(4096), draw.channels(4096)
    fused: tuple[str, ...] = draw.of(((), ("Relu",), ("HardSigmoid",), ("Sigmoid",)))
    data, weights = (1, channels, 1, 1), ((out, channels, 1, 1), (out,))
    return kernel_of("Conv", (data,), weights, ((1, out, 1, 1),), fused, **window(1, 1))


def _linear(draw: Draw) -> Kernel:
    rows = draw.of((1, 16, 17, 49, 64, 65, 128, 196, 197))
    inner, out = draw.channels(4096 if rows == 1 else 1536), draw.channels(4096)
    weights = ((inner, out), (out,)) if rows > 1 else ((out, inner), (out,))
    kept: dict[str, Attribute] = {} if rows > 1 else {"transB": 1}
    return kernel_of("Gemm", ((rows, inner),), weights, ((rows, out),), (), **kept)


def _product(draw: Draw) -> Kernel:
    heads, tokens, size = draw.of(HEADS), draw.tokens(), draw.of((16, 32, 64))
    one, two = (1, heads, tokens, size), (1, heads, size, tokens)
    if draw.of((True, False)):
        return kernel_of("MatMul", (one, two), (), ((1, heads, tokens, tokens),))
    return kernel_of("MatMul", ((1, heads, tokens, tokens), one), (), (one,))


def _of_tokens(draw: Draw) -> Kernel:
    tokens, heads = draw.tokens(), draw.of(HEADS)
    shape = (1, tokens, draw.channels(1024))
    kind = draw.of(("Softmax", "LayerNormalization", "Gelu", "Add", "Reshape", "Transpose"))
    if kind == "Softmax":
        scores = (1, heads, tokens, tokens)
        return kernel_of(kind, (scores,), (), (scores,), axis=-1)
    if kind == "LayerNormalization":
        return kernel_of(kind, (shape,), (shape[-1:],) * 2, (shape,), axis=-1)
    if kind == "Add":
        return kernel_of(kind, (shape, shape), (), (shape,))
    if kind == "Reshape":
        return kernel_of(kind, (shape[1:],), (), (shape,))
    if kind == "Transpose":
        size = draw.of((16, 32, 64))
        order = draw.of(((0, 2, 1, 3), (0, 2, 3, 1)))
        data = (1, tokens, heads, size)
        return kernel_of(kind, (data,), (), (tuple(data[axis] for axis in order),), perm=order)
    return kernel_of(kind, (shape,), (), (shape,))


def _elements(draw: Draw) -> Kernel:
    data = draw.image()
    kind = draw.of(("Add", "Mul", "Mul", "Relu", "HardSwish", "QuickGelu", "Sigmoid"))
    if kind == "Add":
        return kernel_of(kind, (data, data), (), (data,))
    if kind == "Mul":
        return kernel_of(kind, (data, (*data[:2], 1, 1)), (), (data,))
    return kernel_of(kind, (data,), (), (data,))


def _pool(draw: Draw) -> Kernel:
    data = draw.image(4)
    kind = draw.of(("GlobalAveragePool", "GlobalAveragePool", "MaxPool", "AveragePool"))
    if kind == "GlobalAveragePool":
        return kernel_of(kind, (data,), (), ((*data[:2], 1, 1),))
    size, stride = draw.of((2, 3)), draw.of((1, 2))
    pad = (size - 1) // 2
    side = (data[2] + 2 * pad - size) // stride + 1
    return kernel_of(
        kind,
        (data,),
        (),
        ((*data[:2], side, side),),
        kernel_shape=(size,) * 2,
        pads=(pad,) * 4,
        strides=(stride,) * 2,
    )


def _moved(draw: Draw) -> Kernel:
    data = draw.image(2)
    side = data[2]
    half = 4 * draw.between(2, 128)
    kind = draw.of(("Concat", "Split", "Shuffle"))
    small, double = (1, half, side, side), (1, 2 * half, side, side)
    if kind == "Concat":
        return kernel_of(kind, (small, small), (), (double,), axis=1)
    if kind == "Split":
        return kernel_of(kind, (double,), (), (small, small), axis=1)
    shape, order = (1, 2, half, side, side), (0, 2, 1, 3, 4)
    out = tuple(shape[axis] for axis in order)
    return kernel_of("Transpose", (shape,), (), (out,), perm=order)


RARE_EVERY = 8
"""Every so many kernels one is of a kind that is seldom seen."""

KINDS: Mapping[Callable[[Draw], Kernel], int] = {
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
    draw, other, kinds = Draw(rng), Draw(rare), list(KINDS)
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
