"""Of which of its parent's channels each of a child's channels is a replica."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hwnas.nets.channel_classes import ChannelClasses, Indices, is_depthwise
from hwnas.nets.counterparts import Counterparts
from hwnas.nets.roles import Role
from hwnas.nets.wiring import IMAGE, Wired, Wiring, channels
from hwnas.spaces.layers import Conv2d, Linear
from hwnas.spaces.token_layers import Attention, TokenLinear

Signature = tuple[frozenset[Hashable], frozenset[str]]
"""Places that a class must keep, and tensors in which it occurs."""


class ChannelMaps:
    """The channels of a child network, tensor by tensor, in terms of its parent's.

    A class of a child's channels is given a class of the parent's that occurs in
    the same tensors, the same group of a convolution and the same head of an
    attention. If there are more classes of a kind than the parent has, its own
    are repeated in turn; if there are fewer, those stay whose outgoing weights
    have the largest L1 norm (Li et al., 2017).

    Args:
        parent: The parent's layers.
        child: The child's.
        matched: Which layers are which.
        weights: The parent's parameters, by ``<layer>.<parameter>``.
    """

    def __init__(
        self,
        parent: Wiring,
        child: Wiring,
        matched: Counterparts,
        weights: Mapping[str, Tensor],
    ) -> None:
        self.parent = ChannelClasses(parent)
        identities = {name for name, role in matched.roles.items() if role is Role.IDENTITY}
        self.child = ChannelClasses(child, identities)
        important = importance(parent, self.parent, weights)
        old, new = self._signatures(parent, child, matched)
        buckets: dict[Signature, list[int]] = defaultdict(list)
        for number, signature in enumerate(old):
            buckets[signature].append(number)
        wanted: dict[Signature, list[int]] = defaultdict(list)
        for number, signature in enumerate(new):
            wanted[signature].append(number)
        order = {node.name: index for index, node in enumerate(parent.nodes)}
        self._origin = np.full(self.child.count, -1)
        for signature, own in wanted.items():
            # A class without marks is of a new layer, as are the parent's of a lost one.
            known = buckets.get(signature) if any(signature) else None
            source = known or _nearest(signature, buckets, order)
            if len(own) < len(source):
                ranked = sorted(source, key=lambda number: -important[number])
                source = sorted(ranked[: len(own)])
            if source:
                self._origin[own] = np.resize(source, len(own))

    def between(self, tensor: str, other: str) -> Indices:
        """For each channel of a child's tensor, the channel of a parent's; -1 for new ones.

        Args:
            tensor: Name in the child.
            other: Name in the parent.
        """
        theirs = self.parent.of(other)
        place = np.full(self.parent.count, -1)
        place[theirs] = np.arange(len(theirs))
        origin = self._origin[self.child.of(tensor)]
        return np.where(origin >= 0, place[origin], -1)

    def guess(self, tensor: str, other: str) -> Indices:
        """As :meth:`between`, or the leading channels where the two have none in common."""
        found = self.between(tensor, other)
        if (found >= 0).any():
            return found
        count = len(self.parent.of(other))
        return np.where(np.arange(len(found)) < count, np.arange(len(found)), -1)

    def sound(self, tensor: str, other: str) -> bool:
        """Whether no channel occurs twice in either of two tensors, so that a map says all."""
        return all(
            len(np.unique(numbers)) == len(numbers)
            for numbers in (self.child.of(tensor), self.parent.of(other))
        )

    def follows(self, read: str, given: str, other_read: str, other_given: str) -> bool:
        """Whether what a layer gives can be the parent's, as far as it acts channel by channel.

        It is where every channel that is the parent's in what is given is so in what is read.

        Args:
            read: Name of a tensor that the child's layer reads.
            given: Name of the tensor that it gives.
            other_read: The parent's counterpart of ``read``.
            other_given: The parent's counterpart of ``given``.
        """
        known = self.between(given, other_given) >= 0
        lost = self.between(read, other_read) < 0
        return not set(self.child.of(given)[known]) & set(self.child.of(read)[lost])

    def _signatures(
        self, parent: Wiring, child: Wiring, matched: Counterparts
    ) -> tuple[list[Signature], list[Signature]]:
        old, new = _Marks(self.parent), _Marks(self.child)
        own = {IMAGE, *matched.nodes, *matched.loose}
        for name in own:
            new.occurs(name, matched.tensors[name])
        for name in {matched.tensors[name] for name in own}:
            old.occurs(name, name)
        for marks, graph in ((old, parent), (new, child)):
            for end, tensor in (("image", IMAGE), ("output", graph.output)):
                marks.keep(tensor, [(end, i) for i in range(channels(graph.shape(tensor)))])
        for name, other in matched.nodes.items():
            node = child.by_name[name]
            if isinstance(node.layer, Attention) and isinstance(other.layer, Attention):
                _keep_heads(old, new, node, other)
            if isinstance(node.layer, Conv2d) and isinstance(other.layer, Conv2d):
                _keep_groups(old, new, node, other)
        return old.signatures(), new.signatures()


class _Marks:
    """What is known of the classes of a network, gathered tensor by tensor."""

    def __init__(self, classes: ChannelClasses) -> None:
        self.classes = classes
        self._places: list[set[Hashable]] = [set() for _ in range(classes.count)]
        self._tensors: list[set[str]] = [set() for _ in range(classes.count)]

    def occurs(self, tensor: str, label: str) -> None:
        for number in self.classes.of(tensor):
            self._tensors[number].add(label)

    def keep(self, tensor: str, places: Iterable[Hashable]) -> None:
        for number, place in zip(self.classes.of(tensor), places, strict=True):
            self._places[number].add(place)

    def signatures(self) -> list[Signature]:
        return [
            (frozenset(places), frozenset(tensors))
            for places, tensors in zip(self._places, self._tensors, strict=True)
        ]


def _keep_groups(old: _Marks, new: _Marks, node: Wired, other: Wired) -> None:
    """Channels stay in their group, where two grouped convolutions have equally many."""
    groups = getattr(node.layer, "groups", 1)
    if groups != getattr(other.layer, "groups", 1) or groups == 1:
        return
    if is_depthwise(node.layer, node.input_shapes[0][0]) and is_depthwise(
        other.layer, other.input_shapes[0][0]
    ):
        return
    for marks, own in ((old, other), (new, node)):
        for end, tensor in (("in", own.inputs[0]), ("out", own.name)):
            size = len(marks.classes.of(tensor)) // groups
            marks.keep(tensor, [(other.name, end, i // size) for i in range(size * groups)])


def _keep_heads(old: _Marks, new: _Marks, node: Wired, other: Wired) -> None:
    """A head is replicated whole, its features in their order."""
    heads, known = getattr(node.layer, "heads", 1), getattr(other.layer, "heads", 1)
    size = node.shape[1] // heads
    if size != other.shape[1] // known:
        return
    for marks, own, count in ((old, other, known), (new, node, heads)):
        places = [(h % known, i) for h in range(count) for i in range(size)]
        for end, tensor in (("match", own.inputs[0]), ("value", own.inputs[2])):
            marks.keep(tensor, [(other.name, end, *place) for place in places])


def _nearest(
    signature: Signature, buckets: Mapping[Signature, list[int]], order: Mapping[str, int]
) -> list[int]:
    """The parent's classes that must keep the same places and share the most tensors.

    First those that begin in the same tensor: where a class begins, its channels
    are computed, and from there on they are the parent's for as long as both go on.
    """
    places, tensors = signature

    def begin(names: frozenset[str]) -> int:
        return min((order.get(name, -1) for name in names), default=-1)

    best: list[int] = []
    score = (False, 0, 0)
    for (theirs, other), numbers in buckets.items():
        shared = len(tensors & other)
        own = (begin(other) == begin(tensors), shared, -len(tensors ^ other))
        if theirs == places and shared and (not best or own > score):
            best, score = numbers, own
    return best


def importance(
    wiring: Wiring, classes: ChannelClasses, weights: Mapping[str, Tensor]
) -> NDArray[np.float64]:
    """The L1 norm of all weights that read a channel, by class.

    Args:
        wiring: A network.
        classes: Its channels' classes.
        weights: Its parameters, by ``<layer>.<parameter>``.
    """
    found = np.zeros(classes.count)
    for node in wiring.nodes:
        if not isinstance(node.layer, Conv2d | Linear | TokenLinear):
            continue
        weight = weights[f"{node.name}.weight"].detach().abs()
        groups = getattr(node.layer, "groups", 1)
        norms = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1).sum((1, 3))
        np.add.at(found, classes.of(node.inputs[0]), norms.reshape(-1).cpu().double().numpy())
    return found
