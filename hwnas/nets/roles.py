"""What layers without a counterpart must compute for a network to stay what it was.

A branch that is added is zero, a gate one half, and a layer that stands in the
way gives what it receives. Where a layer cannot, it is named, with the reason.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from hwnas.nets.bounds import FIXED, Bounds
from hwnas.nets.wiring import Wired, Wiring
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat, Zero
from hwnas.spaces.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAveragePool,
    Linear,
    Pool2d,
    Scale,
)
from hwnas.spaces.token_layers import LayerScale, ToImage, TokenLinear, ToTokens

ZERO_AT_ZERO = ("relu", "relu6", "hardswish", "silu", "gelu")
HALF_AT_ZERO = ("sigmoid", "hardsigmoid")


class Role(Enum):
    """What a layer without a counterpart must compute for the child to equal its parent."""

    IDENTITY = "gives what it receives"
    ZERO = "gives zeros"
    HALF = "gives half of what it scales"


Roles = dict[str, Role]


class Obstacle(NamedTuple):
    """A layer that cannot play the role that it would have to.

    Args:
        layer: Its name.
        why: The rest of a sentence that begins with the name.
    """

    layer: str
    why: str


def merged(*parts: Roles) -> Roles | Obstacle:
    """All roles together, or a layer that would have to play two."""
    found: Roles = {}
    for part in parts:
        for name, role in part.items():
            if found.setdefault(name, role) is not role:
                return Obstacle(name, "would have to give zeros to one layer and not to another")
    return found


class Casting:
    """Finds roles for the new layers of a network.

    Args:
        wiring: The network.
        tensors: By name, the tensors that stand for something known; they grow as
            layers are matched, and what is in them cannot be made anything else.
        bounds: Between which values a tensor can be.
    """

    def __init__(
        self, wiring: Wiring, tensors: Mapping[str, str], bounds: dict[str, Bounds]
    ) -> None:
        self.wiring, self.tensors, self.bounds = wiring, tensors, bounds

    def carry(self, tensor: str, source: str) -> Roles | Obstacle:
        """What must be for ``tensor`` to be ``source``, or what stands in the way."""
        if tensor == source:
            return {}
        if tensor in self.tensors:
            return Obstacle(tensor, "is not what should be passed on")
        node = self.wiring.by_name[tensor]
        match node.layer:
            case Add():
                below = self._shortcut(node, source)
            case Concat():
                below = self._halves(node, source)
            case ChannelShuffle() | BatchNorm():
                below = self.carry(node.inputs[0], source)
            case Conv2d(stride=1) if node.shape == node.input_shapes[0]:
                below = self.carry(node.inputs[0], source)
            case Activation(kind=kind) if kind in FIXED:
                (lowest, highest), (low, high) = FIXED[kind], self.bounds[source]
                if low < lowest or high > highest:
                    return Obstacle(tensor, f"is {kind}, and it may receive values that it cuts")
                below = self.carry(node.inputs[0], source)
            case Activation(kind=kind):
                return Obstacle(tensor, f"is {kind}, which changes every value")
            case _ if node.shape != node.input_shapes[0]:
                change = f"from {node.input_shapes[0]} to {node.shape}"
                return Obstacle(tensor, f"changes the shape {change}")
            case _:
                kind = type(node.layer).__name__
                return Obstacle(tensor, f"is a {kind}, for which no identity is known")
        return below if isinstance(below, Obstacle) else below | {tensor: Role.IDENTITY}

    def zero(self, tensor: str) -> Roles | Obstacle:
        """What must be for a new tensor to be zero, or what stands in the way."""
        if tensor in self.tensors:
            return Obstacle(tensor, "is in use already, and not zero")
        node = self.wiring.by_name[tensor]
        match node.layer:
            case BatchNorm() | Conv2d() | Linear() | TokenLinear():
                return {tensor: Role.ZERO}
            case Zero():
                return {}
            case Add():
                left, right = (self.zero(name) for name in node.inputs)
                if isinstance(left, Obstacle):
                    return left
                return right if isinstance(right, Obstacle) else merged(left, right)
            case Activation(kind=kind) if kind not in ZERO_AT_ZERO:
                return Obstacle(tensor, f"is {kind}, which makes something else of zero")
            case (
                Activation()
                | Scale()
                | Pool2d()
                | GlobalAveragePool()
                | Flatten()
                | LayerScale()
                | ToImage()
                | ToTokens()
            ):
                if node.inputs[0] in self.tensors:
                    return Obstacle(tensor, "has no weights that could be zero")
                return self.zero(node.inputs[0])
        return Obstacle(tensor, f"is a {type(node.layer).__name__}, which cannot be made zero")

    def half(self, node: Wired) -> Roles | Obstacle:
        """What must be for a new gate to be at its middle, where it learns fastest."""
        gate = self.wiring.by_name.get(node.inputs[1])
        last = None if gate is None else self.wiring.by_name.get(gate.inputs[0])
        if (
            gate is None
            or not isinstance(gate.layer, Activation)
            or gate.layer.kind not in HALF_AT_ZERO
            or last is None
            or not isinstance(last.layer, Conv2d)
            or last.name in self.tensors
        ):
            kinds = " or ".join(HALF_AT_ZERO)
            return Obstacle(node.name, f"is a gate that is no {kinds} of a new convolution")
        return {last.name: Role.ZERO, node.name: Role.HALF}

    def _shortcut(self, node: Wired, source: str) -> Roles | Obstacle:
        """A sum of the source and of nothing."""
        left, right = node.inputs
        obstacles: list[Obstacle] = []
        # The source itself rather than a branch that carries it.
        for kept, dropped in ((right, left), (left, right))[:: -1 if left == source else 1]:
            carried, silent = self.carry(kept, source), self.zero(dropped)
            if isinstance(carried, Obstacle):
                obstacles.append(carried)
                continue
            both = silent if isinstance(silent, Obstacle) else merged(carried, silent)
            if not isinstance(both, Obstacle):
                return both
            # One branch is as it should be: what is wrong with the other says most.
            obstacles.insert(0, both)
        return obstacles[0]

    def _halves(self, node: Wired, source: str) -> Roles | Obstacle:
        """Two halves of the source, each carried, side by side."""
        roles: Roles = {}
        halves = {
            item.layer: item.name
            for item in self.wiring.block(node.block)
            if item.inputs == (source,) and isinstance(item.layer, ChannelPart)
        }
        for index, name in enumerate(node.inputs):
            half = halves.get(ChannelPart(index, len(node.inputs)))
            if half is None:
                return Obstacle(node.name, "joins something else than parts of the block's input")
            # A half is as bounded as the whole.
            self.bounds[half] = self.bounds[source]
            below = self.carry(name, half)
            if isinstance(below, Obstacle):
                return below
            both = merged(roles, below, {half: Role.IDENTITY})
            if isinstance(both, Obstacle):
                return both
            roles = both
        return roles
