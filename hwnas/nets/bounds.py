"""Between which values a tensor can be, and which activations therefore change nothing."""

import math
from collections.abc import Sequence

from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat
from hwnas.spaces.layers import Activation, Add, Flatten, GlobalAveragePool, Layer, Pool2d

Bounds = tuple[float, float]

FREE: Bounds = (-math.inf, math.inf)
FIXED: dict[str, Bounds] = {"relu": (0.0, math.inf), "relu6": (0.0, 6.0)}
"""Where an activation gives what it receives."""


def bounded(layer: Layer, inputs: Sequence[Bounds]) -> Bounds:
    """The lowest and the highest value that a layer can give.

    Args:
        layer: The layer.
        inputs: The bounds of what it reads.
    """
    low, high = inputs[0]
    match layer:
        case Activation(kind=kind) if kind in FIXED:
            lowest, highest = FIXED[kind]
            return min(max(low, lowest), highest), min(max(high, lowest), highest)
        case Activation(kind="sigmoid" | "hardsigmoid"):
            return 0.0, 1.0
        case Pool2d() | GlobalAveragePool() | Flatten() | ChannelPart() | ChannelShuffle():
            return low, high
        case Concat():
            return min(low, inputs[1][0]), max(high, inputs[1][1])
        case Add():
            return low + inputs[1][0], high + inputs[1][1]
    return FREE
