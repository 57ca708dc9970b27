"""Kernels of all kinds, drawn at random: what the kernel model learns from for other networks.

The kernels of one space tell little about those of another family. So a profile also
measures kernels that no space asked for, over the sizes that networks for images and
tokens have.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from hwnas.kernels import Kernel
from hwnas.kernels.kernel import Attribute, Shape
from hwnas.profiling.kernel_draws import HEADS, Draw, kernel_of, window
from hwnas.profiling.rare_kernels import RARE
from hwnas.profiling.signal_draws import SIGNALS

MOST_BLOCK = 16
"""Channels of the widest blocks that ONNX Runtime lays images out in."""

MOST_MACS = 1e9
MOST_ACTIVATIONS = 2e6
MOST_WEIGHTS = 2e7
"""No kernel is drawn that is larger than networks have them."""


def _convolution(draw: Draw, size: int, groups: int, stride: int, data: Shape, out: int) -> Kernel:
    strides = (stride, stride)
    if data[2] != data[3] and stride > 1:
        # Lines of print lose height before they lose width.
        strides = draw.of(((stride, stride), (stride, 1), (1, stride)))
    sides = tuple(-(-side // step) for side, step in zip(data[2:], strides, strict=True))
    outputs: Shape = (1, out, *sides)
    fused: tuple[str, ...] = draw.of(((), ("Relu",), ("HardSwish",), ("Clip",)))
    if _sums(groups, data, outputs) and draw.of((True, *(False,) * (2 if groups == 1 else 6))):
        fused = draw.of((("Add",), ("Add", "Relu")))
    inputs = (data, outputs) if "Add" in fused else (data,)
    group: dict[str, Attribute] = {"group": groups} if groups > 1 else {}
    weight = (out, data[1] // groups, size, size)
    return kernel_of(
        "Conv", inputs, (weight, (out,)), (outputs,), fused, **window(size, strides), **group
    )


def _sums(groups: int, data: Shape, outputs: Shape) -> bool:
    """Whether runtimes run a sum inside the convolution, whatever their blocks of channels.

    ONNX Runtime does so on channel blocks: in groups only where each fills whole blocks, and
    not of one pixel, which it does not lay out in blocks.
    """
    if math.prod(outputs[2:]) == 1 or outputs[1] % 4:
        return False
    own, out = data[1] // groups, outputs[1] // groups
    return groups == 1 or (own % MOST_BLOCK == 0 and out % MOST_BLOCK == 0)


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
    """Half as ResNeXt has them: many narrow groups, 3×3, as many channels out as in."""
    _, _, rows, columns = draw.image(4)
    if draw.of((True, False)):
        channels = draw.of((2, 4, 8, 16, 32, 32, 64)) * draw.of((4, 4, 8, 8, 16, 32))
        groups = draw.of(tuple(n for n in (2, 4, 8, 16, 32, 64) if channels // n in range(4, 33)))
        data = (1, channels, rows, columns)
        return _convolution(draw, 3, groups, draw.of((1, 1, 1, 2)), data, channels)
    groups = draw.of((2, 3, 4, 8, 16, 32))
    channels = groups * draw.between(4, 64, 4)
    data, out = (1, channels, rows, columns), channels * draw.of((1, 1, 2))
    return _convolution(draw, draw.of((1, 3, 3, 5)), groups, draw.of((1, 1, 2)), data, out)


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
    """Sums, gates, and the parts that exporters write of activations: x · clip(x + 3) / 6."""
    data = draw.image()
    kind = draw.of(("Add", "Add", "Mul", "Gate", "Gate", "Constant", "Clip", "Relu", "Active"))
    if kind in ("Add", "Mul"):
        return kernel_of(kind, (data, data), (), (data,))
    if kind == "Gate":
        return kernel_of("Mul", (data, (*data[:2], 1, 1)), (), (data,))
    if kind == "Constant":
        return kernel_of(draw.of(("Add", "Mul", "Div", "Sub")), (data,), ((),), (data,))
    if kind == "Clip":
        return kernel_of(kind, (data,), ((), ()), (data,))
    active = draw.of(("HardSwish", "QuickGelu", "Sigmoid", "Relu"))
    return kernel_of("Relu" if kind == "Relu" else active, (data,), (), (data,))


_WINDOWS: tuple[tuple[str, int, int], ...] = (
    *(("AveragePool", 3, 1), ("AveragePool", 3, 1), ("AveragePool", 3, 1)),
    *(("AveragePool", 2, 2), ("AveragePool", 3, 2)),
    *(("MaxPool", 3, 2), ("MaxPool", 2, 2), ("MaxPool", 3, 1), ("MaxPool", 5, 1)),
)
"""Pools with their windows and strides."""

_COUNTED: tuple[dict[str, Attribute], ...] = ({}, {"count_include_pad": 1})


def _pool(draw: Draw) -> Kernel:
    data = draw.image(4)
    if draw.of((True, False, False, False)):
        return kernel_of("GlobalAveragePool", (data,), (), ((*data[:2], 1, 1),))
    kind, size, stride = draw.of(_WINDOWS)
    if stride == 1:
        # Inside cells and blocks, where the image is small.
        side = draw.of((7, 8, 14, 16, 28, 32))
        data = (1, draw.channels(512), side, side)
    padding: dict[str, Attribute] = {"pads": ((size - 1) // 2,) * 4} if size > 2 else {}
    if kind == "AveragePool" and padding:
        padding |= draw.of(_COUNTED)
    sides = tuple((side + 2 * ((size - 1) // 2) - size) // stride + 1 for side in data[2:])
    padding |= {"kernel_shape": (size,) * 2, "strides": (stride,) * 2}
    return kernel_of(kind, (data,), (), ((*data[:2], *sides),), (), **padding)


def _moved(draw: Draw) -> Kernel:
    """Halves apart and together (ShuffleNetV2), shuffles, features that grow (DenseNet)."""
    _, _, rows, columns = draw.image(2)
    own = draw.between(8, 512, draw.of((2, 4, 8)))
    kind = draw.of(("Halves", "Grown", "Several", "Split", "Split", "Shuffle", "Shuffle"))
    if kind == "Shuffle":
        shape = (1, draw.of((2, 2, 2, 3, 4, 8)), own, rows, columns)
        order = (0, 2, 1, 3, 4)
        out = tuple(shape[axis] for axis in order)
        return kernel_of("Transpose", (shape,), (), (out,), perm=order)
    if kind == "Halves":
        widths = [own, own]
    elif kind == "Grown":
        widths = [own, draw.of((12, 16, 24, 32, 48))]
    else:
        widths = [draw.of((own, own, draw.between(8, 256, 8))) for _ in range(draw.of((2, 3, 4)))]
        widths = [own] * draw.of((2, 2, 2, 3)) if kind == "Split" else widths
    parts = tuple((1, width, rows, columns) for width in widths)
    whole: Shape = (1, sum(widths), rows, columns)
    if kind == "Split":
        return kernel_of("Split", (whole,), (), parts, axis=1)
    return kernel_of("Concat", parts, (), (whole,), axis=1)


RARE_EVERY = 5
"""Every so many kernels one is of a kind that is seldom seen."""

SIGNAL_EVERY = 10
"""Every so many kernels one is of networks for signals, which were drawn last: the others keep
their order, so that what profiles have of them counts."""

KINDS: Mapping[Callable[[Draw], Kernel], int] = {
    _pointwise: 18,
    _dense: 13,
    _depthwise: 12,
    _grouped: 14,
    _vector: 4,
    _linear: 8,
    _product: 4,
    _of_tokens: 5,
    _elements: 8,
    _pool: 6,
    _moved: 8,
}
"""How many of a hundred kernels are of each of the usual kinds."""


def general_kernels(count: int, seed: int) -> list[Kernel]:
    """Distinct kernels of all kinds; the first of a longer list are those of a shorter one.

    Args:
        count: How many.
        seed: Seed of the draws.
    """
    of_signals = count // SIGNAL_EVERY
    found = _images_and_tokens(count - of_signals, seed)
    rng = np.random.default_rng([seed, 0x7369676E])
    draw = Draw(rng)
    signals = _distinct(lambda _: SIGNALS[int(rng.integers(len(SIGNALS)))](draw), of_signals)
    for number, kernel in enumerate(signals):
        found.insert(SIGNAL_EVERY * (number + 1) - 1, kernel)
    return found


def _images_and_tokens(count: int, seed: int) -> list[Kernel]:
    """Kernels of networks for images and tokens, some of kinds that are seldom seen."""
    rng, rare = (np.random.default_rng([seed, number]) for number in (0x6B65726E, 0x72617265))
    draw, other, kinds = Draw(rng), Draw(rare), list(KINDS)
    shares = np.array(list(KINDS.values())) / sum(KINDS.values())

    def drawn(position: int) -> Kernel:
        if position % RARE_EVERY == RARE_EVERY - 1:
            return RARE[int(rare.integers(len(RARE)))](other)
        return kinds[int(rng.choice(len(kinds), p=shares))](draw)

    return _distinct(drawn, count)


def _distinct(drawn: Callable[[int], Kernel], count: int) -> list[Kernel]:
    """So many different kernels of the sizes that networks have them, by their position."""
    found: dict[str, Kernel] = {}
    while len(found) < count:
        kernel = drawn(len(found))
        if (
            kernel.macs <= MOST_MACS
            and kernel.input_elements + kernel.output_elements <= MOST_ACTIVATIONS
            and kernel.weight_elements <= MOST_WEIGHTS
        ):
            found.setdefault(kernel.key, kernel)
    return list(found.values())
