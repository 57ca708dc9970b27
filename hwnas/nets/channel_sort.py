"""The channels of a supernet in the order of their importance, so that slices keep the best."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hwnas.nets.channel_classes import SAME, ChannelClasses, Indices, is_depthwise
from hwnas.nets.channel_maps import importance
from hwnas.nets.elastic import ElasticNetwork
from hwnas.nets.wiring import IMAGE, Wired, Wiring
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat
from hwnas.spaces.layers import Conv2d, Flatten, Linear
from hwnas.spaces.token_layers import (
    ClassToken,
    PatchConv2d,
    PositionEmbedding,
    TokenLinear,
)

MOVING = (ChannelPart, ChannelShuffle, Concat)
MIXING = (Conv2d, Linear, PatchConv2d, TokenLinear)


@torch.no_grad()
def sort_channels(network: ElasticNetwork, genotype: Sequence[int]) -> None:
    """Reorder the shared weights so that the important channels of a path come first.

    Smaller paths use leading channels, so those should be the ones that matter.
    The importance of a channel is the L1 norm of all weights that read it
    (Li et al., 2017; Cai et al., 2020, sort by it before channels shrink). The path
    computes what it did: channels that belong together (those of a sum, of a
    depthwise convolution, of a gate; :class:`~hwnas.nets.channel_classes.ChannelClasses`)
    move together, all weights that write or read them follow, and only channels
    change places that occur in the same tensors. Those of the image and the
    logits, of grouped convolutions and of attention heads stay where they are, since
    their place says what they are. Other paths compute something else afterwards.

    Args:
        network: Changed in place.
        genotype: The path that is preserved, normally the largest.

    Raises:
        SpecError: The genotype is not of the space.
    """
    genes = network.space.check(genotype)
    wiring = Wiring.of(network.space.decode(genes))
    classes = ChannelClasses(wiring)
    weights = {
        name.removeprefix("blocks."): value
        for name, value in network.extract(genes).named_parameters()
    }
    source = _sources(wiring, classes, importance(wiring, classes, weights))
    filled = [
        index
        for index, slot in enumerate(network.space.slots)
        if network.space.slot_block(slot, [genes[c] for c in slot.choices]) is not None
    ]
    for node in wiring.nodes:
        module = network.slots[filled[node.block]]
        for name, shape in node.parameter_shapes.items():
            path = f"{node.local}.{type(node.layer).__name__}.{name}"
            _permute(node, module.get_parameter(path), len(shape), classes, source)


def _sources(wiring: Wiring, classes: ChannelClasses, important: np.ndarray) -> Indices:
    """For each class, the one whose channels take its places, ``(classes,)``."""
    occurs: list[set[str]] = [set() for _ in range(classes.count)]
    for tensor in (IMAGE, *(node.name for node in wiring.nodes)):
        for number in classes.of(tensor):
            occurs[number].add(tensor)
    pinned = _pinned(wiring, classes)
    alike: dict[frozenset[str], list[int]] = defaultdict(list)
    for number in range(classes.count):
        if number not in pinned:
            alike[frozenset(occurs[number])].append(number)
    source = np.arange(classes.count)
    for numbers in alike.values():
        # Stable: equals keep their order.
        source[numbers] = sorted(numbers, key=lambda number: -important[number])
    return source


def _pinned(wiring: Wiring, classes: ChannelClasses) -> set[int]:
    """Classes that must keep their places."""
    fixed = {IMAGE, wiring.output}
    for node in wiring.nodes:
        layer, incoming = node.layer, len(classes.of(node.inputs[0]))
        free = isinstance(layer, (*SAME, *MOVING, *MIXING))
        if isinstance(layer, Conv2d) and layer.groups > 1:
            free = is_depthwise(layer, incoming)
        if isinstance(layer, Flatten):
            free = incoming == len(classes.of(node.name))
        if not free:
            fixed |= {node.name, *node.inputs}
    found = {int(number) for tensor in fixed for number in classes.of(tensor)}
    for tensor in (node.name for node in wiring.nodes):
        numbers, counts = np.unique(classes.of(tensor), return_counts=True)
        found |= {int(number) for number in numbers[counts > 1]}
    return found


def _order(tensor: str, classes: ChannelClasses, source: Indices) -> Tensor:
    """For each channel of a tensor, the one whose place in the weights it takes."""
    own = classes.of(tensor)
    place = np.zeros(classes.count, dtype=np.int64)
    place[own] = np.arange(len(own))
    # A class that occurs twice is pinned: each of its channels stays.
    return torch.from_numpy(np.where(source[own] == own, np.arange(len(own)), place[source[own]]))


def _permute(
    node: Wired, shared: Tensor, dimensions: int, classes: ChannelClasses, source: Indices
) -> None:
    """Move the weights of a layer with the channels that they write and read, in place."""
    orders = {}
    if isinstance(node.layer, ClassToken | PositionEmbedding):
        orders[dimensions - 1] = _order(node.name, classes, source)
    else:
        orders[0] = _order(node.name, classes, source)
        if dimensions > 1 and getattr(node.layer, "groups", 1) == 1:
            orders[1] = _order(node.inputs[0], classes, source)
    for dimension, order in orders.items():
        part = shared.narrow(dimension, 0, len(order))
        part.copy_(part.index_select(dimension, order.to(shared.device)))
