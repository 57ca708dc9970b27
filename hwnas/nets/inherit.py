"""A child network with its parent's weights: it computes the same wherever it can.

Function-preserving widening and deepening (Net2Net, Chen et al., 2016; network
morphism, Wei et al., 2016) over whole graphs of layers: channels are mapped from
child to parent by what joins them (:mod:`hwnas.nets.channel_maps`), and each
layer's weights follow from the maps of what it reads and gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hwnas.errors import SpecError
from hwnas.nets.channel_maps import ChannelMaps
from hwnas.nets.counterparts import Counterparts, counterparts
from hwnas.nets.identity import expected_moments, identity_values
from hwnas.nets.morphs import MIXING, Sharing, Step, take
from hwnas.nets.network import Network
from hwnas.nets.roles import Role
from hwnas.nets.wiring import IMAGE, Wired, Wiring
from hwnas.spaces.architecture import Architecture
from hwnas.spaces.layers import Add, Flatten
from hwnas.spaces.token_layers import Attention

SPREAD = 0.3
_PREFIX = "blocks."


@dataclass(frozen=True)
class Inheritance:
    """What a child has of its parent.

    Args:
        parent: Digest of the parent's architecture.
        preserved: Whether the child computes what its parent does, before it is trained.
        share: Share of the child's trained numbers that are its parent's, 0 to 1.
            Zeros and identities that a morph needs are not.
        reasons: Where and why it computes something else, first to last.
    """

    parent: str
    preserved: bool
    share: float
    reasons: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The inheritance as plain values."""
        return {
            "parent": self.parent,
            "preserved": self.preserved,
            "share": self.share,
            "reasons": list(self.reasons),
        }


@torch.no_grad()
def inherit(
    parent: Network, child: Architecture, *, seed: int = 0, spread: float = SPREAD
) -> tuple[Network, Inheritance]:
    """A network of an architecture that starts with another network's weights.

    Where the child is wider, deeper, or has larger kernels, more edges or gates, it
    gives in evaluation mode what its parent gives. Where it cannot, it takes what
    overlaps: the middle of a kernel, the most important channels.

    Args:
        parent: Whose weights are copied; it is not changed.
        child: What to build.
        seed: Seed of the weights that are new, and of how replicas differ.
        spread: By how much the parts differ in which replicas of a unit are read,
            0 to below 1; equal parts would stay equal for ever.

    Returns:
        The child, on the parent's device and in its precision, and what it has of it.

    Raises:
        SpecError: The child cannot be built, or ``spread`` is out of range.
    """
    if not 0 <= spread < 1:
        raise SpecError(f"inherit: spread must be 0 to below 1, received {spread}")
    like = next(parent.parameters())
    network = Network(child, seed=seed).to(like)
    heir = _Heir(parent, network, Sharing(spread, seed))
    for node in heir.child.nodes:
        heir.visit(node)
    if not heir.inherited:
        # Nothing to be added to: zeros and identities would be all that is left of a parent.
        network = Network(child, seed=seed).to(like)
    return network.train(parent.training), heir.inheritance()


class _Heir:
    """A child that gets its values layer by layer, and what is known of its tensors."""

    def __init__(self, parent: Network, network: Network, sharing: Sharing) -> None:
        self.parent = Wiring.of(parent.architecture)
        self.child = Wiring.of(network.architecture)
        self.matched: Counterparts = counterparts(self.parent, self.child)
        self.old = _values(parent)
        self.new = _values(network)
        self.maps = ChannelMaps(self.parent, self.child, self.matched, self.old)
        self.sharing = sharing
        self.inherited = 0
        self.reasons: list[str] = []
        self._blocks_told: set[int] = set()
        before, after = parent.architecture.input_shape, network.architecture.input_shape
        if before != after:
            self.reasons.append(f"it takes images {after} instead of {before}")
        # Tensors that are a factor times the parent's that they stand for.
        self.factors: dict[str, float] = {} if before != after else {IMAGE: 1.0}

    def visit(self, node: Wired) -> None:
        """Give a layer its values, and note whether it computes what its parent's does."""
        role = self.matched.roles.get(node.name)
        other = self.matched.nodes.get(node.name)
        if role is not None:
            self._play(node, role)
        elif other is not None:
            self._continue(node, other)
        elif node.name in self.matched.obstacles and node.name in self.matched.tensors:
            self._tell(node, self.matched.obstacles[node.name])

    def inheritance(self) -> Inheritance:
        """What the child has of its parent, when every layer was visited."""
        output = self.child.output
        map_ = self.maps.between(output, self.parent.output)
        whole = np.array_equal(map_, np.arange(len(self.maps.parent.of(self.parent.output))))
        same = (
            self.factors.get(output) == 1.0
            and self.matched.tensors.get(output) == self.parent.output
            and whole
        )
        if not same and not self.reasons:
            self.reasons.append(f"{output}: it is not what the parent gives")
        return Inheritance(
            self.parent.architecture.digest,
            same,
            self.inherited / max(1, self.child.architecture.parameters),
            () if same else tuple(self.reasons),
        )

    def _play(self, node: Wired, role: Role) -> None:
        fresh = _of(node, self.new)
        if role is Role.ZERO:
            for name in node.parameter_shapes:
                fresh[name].zero_()
            return
        if role is Role.IDENTITY:
            moments = None
            if node.parameter_shapes:
                moments = expected_moments(self.child, self.matched.roles, self.new, node.inputs[0])
            _write(fresh, identity_values(node, fresh, moments))
        known = [name for name in node.inputs if name in self.matched.tensors]
        if all(name in self.factors for name in known):
            self.factors[node.name] = self.factors[known[0]] * (0.5 if role is Role.HALF else 1.0)

    def _continue(self, node: Wired, other: Wired) -> None:
        factor = self.factors.get(node.inputs[0], 1.0)
        mixes = isinstance(node.layer, MIXING)
        if node.parameter_shapes:
            step = Step(
                node,
                other,
                incoming=self.maps.guess(node.inputs[0], other.inputs[0]),
                outgoing=self.maps.guess(node.name, other.name),
                old=_of(other, self.old),
                fresh=_of(node, self.new),
                factor=factor,
            )
            taken = take(step, self.sharing)
            _write(_of(node, self.new), taken.values)
            self.inherited += taken.inherited
            lost = taken.lost
        else:
            lost = self._changed(node, other)
        if not all(name in self.factors for name in node.inputs):
            for name in node.inputs:
                if name not in self.matched.tensors:
                    why = self.matched.obstacles.get(name, "the parent has no such layer")
                    self._tell(node, f"it reads {name}, which is new: {why}")
            return
        if not (lost or mixes) and any(self.factors[name] != 1.0 for name in node.inputs):
            lost = "what it reads is halved"
        lost = lost or self._reads_other(node, other)
        if lost:
            self._blocks_told.add(node.block)
            self.reasons.append(f"{node.name}: {lost}")
        else:
            self.factors[node.name] = 1.0

    def _tell(self, node: Wired, why: str) -> None:
        """Note a new layer that changes something, if it is the first of a block to do so."""
        if node.block not in self._blocks_told and self.child.input_of(node.block) in self.factors:
            self._blocks_told.add(node.block)
            self.reasons.append(f"{node.name}: {why}")

    def _reads_other(self, node: Wired, other: Wired) -> str:
        """Whether a layer reads something else than its parent's does, and what."""
        reads = tuple(self.matched.tensors.get(name, "") for name in node.inputs)
        if reads != other.inputs and not (
            isinstance(node.layer, Add) and reads == other.inputs[::-1]
        ):
            return (
                f"it reads what stands for {', '.join(reads)} instead of {', '.join(other.inputs)}"
            )
        pairs = [*zip(node.inputs, reads, strict=True), (node.name, other.name)]
        if not all(self.maps.sound(*pair) for pair in pairs):
            return "a channel stands in it twice"
        if not isinstance(node.layer, MIXING) and not all(
            self.maps.follows(own, node.name, theirs, other.name)
            for own, theirs in zip(node.inputs, reads, strict=True)
        ):
            return "a channel that should be the parent's was not computed as the parent does"
        return ""

    def _changed(self, node: Wired, other: Wired) -> str:
        """Whether a layer without parameters computes something else, and why."""
        if isinstance(node.layer, Attention) and isinstance(other.layer, Attention):
            return self._heads(node, other, node.layer.heads, other.layer.heads)
        if node.layer != other.layer:
            return f"it is {node.layer} instead of {other.layer}"
        if isinstance(node.layer, Flatten):
            size = len(self.maps.child.of(node.name)) // len(self.maps.child.of(node.inputs[0]))
            origin = self.maps.between(node.inputs[0], other.inputs[0])
            pixels = (origin[:, None] * size + np.arange(size)).reshape(-1)
            if not np.array_equal(self.maps.between(node.name, other.name), pixels):
                return "pixels of replicated channels are flattened"
        return ""

    def _heads(self, node: Wired, other: Wired, heads: int, known: int) -> str:
        """Whether each head is one of the parent's, whole."""
        size = node.shape[1] // heads
        if size != other.shape[1] // known:
            return "its heads have another size"
        for own, theirs in zip(node.inputs, other.inputs, strict=True):
            origin = self.maps.between(own, theirs)
            if not np.array_equal(origin, np.resize(np.arange(known * size), heads * size)):
                return "its heads are not whole"
        return ""


def _values(network: Network) -> dict[str, Tensor]:
    """Parameters and running statistics by ``<layer>.<name>``, themselves and no copies."""
    return {name.removeprefix(_PREFIX): value for name, value in network.state_dict().items()}


def _of(node: Wired, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values of one layer by their own names."""
    names = (*node.parameter_shapes, "running_mean", "running_var")
    found = {name: values.get(f"{node.name}.{name}") for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _write(own: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        own[name].copy_(value)
