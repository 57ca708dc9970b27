"""Which channels of a network belong together because layers between them act on each alone."""

from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hwnas.nets.wiring import IMAGE, Wired, Wiring, channels
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat, Zero
from hwnas.spaces.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAveragePool,
    Layer,
    Pool2d,
    Scale,
)
from hwnas.spaces.token_layers import (
    Attention,
    ClassToken,
    FirstToken,
    LayerNorm,
    LayerScale,
    MeanToken,
    PositionEmbedding,
    ToImage,
    ToTokens,
)

Indices = NDArray[np.int64]

SAME = (
    Activation,
    Add,
    BatchNorm,
    ClassToken,
    FirstToken,
    GlobalAveragePool,
    LayerNorm,
    LayerScale,
    MeanToken,
    Pool2d,
    PositionEmbedding,
    Scale,
    ToImage,
    ToTokens,
    Zero,
)
"""Layers whose channel ``i`` depends on channel ``i`` of what they read, and on statistics."""


class ChannelClasses:
    """Classes of channels, numbered in the order in which they first occur.

    The two operands of a sum have the same classes, a depthwise convolution has
    those of its input, a gate those of what it scales; parts, concatenations and
    shuffles take their channels along. A network can be widened class by class
    and by no less, since one channel of a class cannot be replicated alone.

    Args:
        wiring: The network.
        identities: Convolutions that are to give what they receive.
    """

    def __init__(self, wiring: Wiring, identities: Collection[str] = ()) -> None:
        self._offsets: dict[str, tuple[int, int]] = {}
        size = 0
        for name in (IMAGE, *(node.name for node in wiring.nodes)):
            count = channels(wiring.shape(name))
            self._offsets[name] = (size, size + count)
            size += count
        everything = np.arange(size)
        self._classes = everything
        ties = [
            (own, other) for node in wiring.nodes for own, other in self._ties(node, identities)
        ]
        left = np.concatenate([own for own, _ in ties] or [everything[:0]])
        right = np.concatenate([other for _, other in ties] or [everything[:0]])
        _, labels = connected_components(
            coo_array((np.ones(len(left), bool), (left, right)), shape=(size, size)), directed=False
        )
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        self._classes = np.argsort(np.argsort(first))[inverse]
        self.count = len(first)

    def of(self, tensor: str) -> Indices:
        """The class of each channel of a tensor, ``(channels,)``."""
        start, end = self._offsets[tensor]
        found: Indices = self._classes[start:end]
        return found

    def _ties(self, node: Wired, identities: Collection[str]) -> Iterator[tuple[Indices, Indices]]:
        """Channels of the output and the ones of an input that are theirs."""
        output, inputs = self.of(node.name), [self.of(name) for name in node.inputs]
        match node.layer:
            case Attention():
                query, key, value = inputs
                yield query, key
                yield output, value
            case ChannelPart(part=part):
                size = len(output)
                yield output, inputs[0][part * size : (part + 1) * size]
            case ChannelShuffle(groups=groups):
                yield output, inputs[0].reshape(groups, -1).T.reshape(-1)
            case Concat():
                yield output, np.concatenate(inputs)
            case Conv2d() if node.name in identities or is_depthwise(node.layer, len(inputs[0])):
                yield output, inputs[0]
            case Flatten() if len(output) == len(inputs[0]):
                yield output, inputs[0]
            case layer if isinstance(layer, SAME):
                for tensor in inputs:
                    yield output, tensor


def is_depthwise(layer: Layer, incoming: int) -> bool:
    """Whether a layer is a convolution of each channel alone.

    Args:
        layer: Any layer.
        incoming: Channels that it receives.
    """
    return isinstance(layer, Conv2d) and layer.groups == layer.out_channels == incoming > 1
