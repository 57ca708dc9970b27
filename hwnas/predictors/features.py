"""Features of kernels, and of bags of kernels as sums over them."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwnas.kernels import Kernel

Floats = NDArray[np.float64]

FAMILIES = (
    "pointwise",
    "depthwise",
    "dense",
    "grouped",
    "vector",
    "matrix",
    "pool",
    "elementwise",
    "other",
)
SUMS = ("ms", *(f"ms.{name}" for name in FAMILIES), "kernels", "macs", "weights", "activations")

CHANNELS, COLUMNS = 16, 6
"""Channels of a block of a convolution's vectors, and output columns that it keeps in registers."""

CHEAP, SIGMOIDS = frozenset({"Relu", "Clip", "LeakyRelu"}), frozenset({"Sigmoid", "HardSigmoid"})


def kernel_work(kernel: Kernel) -> float:
    """Work of a kernel in million operations: MACs plus a hundredth of the elements moved.

    The normaliser of the kernel model's target.
    """
    elements = kernel.input_elements + kernel.output_elements + kernel.weight_elements
    return (kernel.macs + 0.01 * elements + 100.0) / 1e6


def kernel_features(kernel: Kernel) -> list[float]:
    """What the kernel model sees; the first is log work, in which the price rises."""
    data = kernel.inputs[0] if kernel.inputs else (1,)
    out = kernel.outputs[0] if kernel.outputs else (1,)
    weight = kernel.weights[0] if kernel.weights else (1,)
    image = len(out) == 4
    channels_in, channels_out = _channels(data), _channels(out)
    axes = window_axes(kernel)
    spatial = weight[2] if len(weight) == 4 or (axes and len(weight) > 2) else 1
    pixels = math.prod(out[2:]) if image or axes else 1
    # Of an empty image there is no stride; none is priced, but the features stay defined.
    stride = max(1, round(data[2] / max(1, out[2]))) if image and len(data) == 4 else 1
    return [
        float(np.log(kernel_work(kernel))),
        float(np.log1p(kernel.macs)),
        float(np.log1p(kernel.bytes_moved)),
        float(np.log((kernel.macs + 1) / (kernel.bytes_moved + 1))),
        float(channels_in),
        float(channels_out),
        float(pixels),
        float(spatial),
        float(stride),
        float(kernel.groups),
        float(weight[1]) if len(weight) > 1 else 1.0,
        float(channels_in % 16),
        float(channels_out % 16),
        float(pixels % 8),
        float(np.log1p(kernel.weight_elements)),
        float(np.log1p(kernel.input_elements)),
        float("Add" in kernel.fused),
        float("HardSwish" in kernel.fused),
        float(FAMILIES.index(kernel.family)),
        float(sum(map(ord, kernel.op))),
        float(axes),
        float(np.log(max(1, data[0] if data else 1))),
        *_shape_features(kernel, channels_in, channels_out, pixels),
    ]


def is_broadcast(kernel: Kernel) -> bool:
    """Whether an operand has another shape than the output."""
    outputs = kernel.outputs[:1]
    return any(shape not in outputs for shape in (*kernel.inputs, *kernel.weights))


def window_axes(kernel: Kernel) -> int:
    """Along how many axes a kernel's window moves: 2 for images, 0 for kernels without one."""
    shape = kernel.attribute("kernel_shape", ())
    return len(shape) if isinstance(shape, tuple) else 0


def _channels(shape: tuple[int, ...]) -> int:
    """The size of the axis of channels: the second, or the only one; 1 of a scalar."""
    return shape[1] if len(shape) > 1 else (*shape, 1)[0]


def _shape_features(
    kernel: Kernel, channels_in: int, channels_out: int, pixels: int
) -> list[float]:
    """Logarithms of sizes, what blocks of 16 channels leave over, and the activation."""
    out = kernel.outputs[0] if kernel.outputs else (1,)
    weight = kernel.weights[0] if kernel.weights else (1,)
    columns = out[3] if len(out) == 4 else 1
    blocks_in, blocks_out = -(-channels_in // CHANNELS), -(-channels_out // CHANNELS)
    logs = (
        channels_in,
        channels_out,
        pixels,
        math.prod(weight[2:]),
        kernel.bytes_moved,
        kernel.output_elements,
        weight[1] if len(weight) > 1 else 1,
        1 + columns % COLUMNS,
    )
    return [
        *(math.log(max(1, size)) for size in logs),
        float(blocks_out),
        float(blocks_out % 4),
        float(-(-blocks_in // kernel.groups)),
        blocks_out * CHANNELS / max(1, channels_out),
        -(-columns // COLUMNS) * COLUMNS / max(1, columns),
        float(bool(CHEAP & set(kernel.fused))),
        float(bool(SIGMOIDS & set(kernel.fused))),
        float(is_broadcast(kernel)),
        *_group_features(kernel),
    ]


def _group_features(kernel: Kernel) -> list[float]:
    """Of a convolution the channels of a group and the product that it is; zeros elsewhere.

    Of the channels, in and out, also what vectors of 16 and 8 leave over.
    """
    if kernel.op != "Conv" or not kernel.weights or len(kernel.weights[0]) < 3:
        return [0.0] * 11
    weight, groups = kernel.weights[0], kernel.groups
    read, made = weight[1], max(1, weight[0] // groups)
    return [
        *(math.log(max(1, size)) for size in (read, made, groups)),
        math.log(max(1, math.prod(weight[1:]))),
        math.log(max(1, math.prod(kernel.outputs[0][2:]))),
        *(float(size % block) for block in (16, 8) for size in (read, made)),
        *(float(read % block == 0 and made % block == 0) for block in (16, 8)),
    ]


def bag_sums(bag: Mapping[Kernel, int], price_ms: Mapping[Kernel, float]) -> Floats:
    """Sums over a bag, ``(len(SUMS),)``: price by family, number, MACs, elements."""
    sums = np.zeros(len(SUMS))
    first = SUMS.index("kernels")
    for kernel, count in bag.items():
        cost = count * price_ms[kernel]
        sums[0] += cost
        sums[1 + FAMILIES.index(kernel.family)] += cost
        sums[first:] += [
            count,
            count * kernel.macs,
            count * kernel.weight_elements,
            count * (kernel.input_elements + kernel.output_elements),
        ]
    return sums


def bag_features(sums: Floats) -> Floats:
    """Features of bags, ``(n, features)``, from their sums ``(n, len(SUMS))``.

    Logarithms of the totals, and the share of each family in the price.
    """
    first = SUMS.index("kernels")
    total = np.maximum(sums[:, :1], 1e-12)
    shares = sums[:, 1:first] / total
    logs = np.log(np.maximum(sums[:, first:], 0.0) + 1.0)
    features: Floats = np.concatenate(
        [np.log(total), shares, logs, logs[:, 1:2] - np.log(total)], axis=1
    )
    return features
