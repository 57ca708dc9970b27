"""Which tensor of a child network is which of its parent's, and what new layers must compute.

A child's layer with a parent's counterpart takes its weights. A new layer is
made to change nothing where it can: a branch that is added starts as zero, a
gate as one half, and a layer that stands in the way as the identity.
"""

from dataclasses import dataclass, field
from enum import Enum

from hwnas.nets.align import align
from hwnas.nets.bounds import FIXED, FREE, Bounds, bounded
from hwnas.nets.wiring import IMAGE, Wired, Wiring
from hwnas.spaces.channel_layers import ChannelPart, ChannelShuffle, Concat, Zero
from hwnas.spaces.layers import (
    Activation,
    Add,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    Pool2d,
    Scale,
)
from hwnas.spaces.token_layers import TokenLinear

ZERO_AT_ZERO = ("relu", "relu6", "hardswish", "silu", "gelu")
HALF_AT_ZERO = ("sigmoid", "hardsigmoid")


class Role(Enum):
    """What a layer without a counterpart must compute for the child to equal its parent."""

    IDENTITY = "gives what it receives"
    ZERO = "gives zeros"
    HALF = "gives half of what it scales"


Roles = dict[str, Role]


@dataclass
class Counterparts:
    """What :func:`counterparts` found.

    Args:
        nodes: By the name of a child's layer, the parent's layer that it continues.
        tensors: By the name of a child's tensor, the parent's tensor that it
            stands for; tensors that the parent has not are left out.
        roles: What layers without a counterpart must compute.
        loose: Tensors that stand for a parent's without being computed as it is.
    """

    nodes: dict[str, Wired] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=lambda: {IMAGE: IMAGE})
    roles: Roles = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)


def counterparts(parent: Wiring, child: Wiring) -> Counterparts:
    """Match the layers of two networks.

    Blocks are aligned; in a pair of blocks, layers are matched by their names,
    and those without parameters by what they read, wherever the parent computes it.

    Args:
        parent: Whose weights are inherited.
        child: Who inherits.
    """
    matcher = _Matcher(parent, child)
    for pair in align(parent.architecture, child.architecture):
        if pair.child is None:
            continue
        if pair.parent is None:
            matcher.insert(pair.child)
        else:
            matcher.match(pair.parent, pair.child)
    return matcher.found


class _Matcher:
    def __init__(self, parent: Wiring, child: Wiring) -> None:
        self.parent, self.child = parent, child
        self.found = Counterparts()
        self.bounds: dict[str, Bounds] = {IMAGE: FREE}
        self.computed: dict[tuple[Layer, tuple[str, ...]], Wired] = {}
        for node in parent.nodes:
            self.computed.setdefault((node.layer, _order(node.layer, node.inputs)), node)

    def match(self, parent: int, child: int) -> None:
        """Match the layers of two blocks."""
        nodes = self.child.block(child)
        names = _namesakes(self.parent.block(parent), nodes)
        for node in nodes:
            other = self._computed(node) or names.get(node.name)
            if other is not None:
                self.found.nodes[node.name] = other
                self.found.tensors[node.name] = other.name
            else:
                self._new(node)
            self._bound(node)
        self._settle(self.child.outputs[child], self.parent.outputs[parent])

    def insert(self, position: int) -> None:
        """Find out how a new block can give what it receives."""
        source, output = self.child.input_of(position), self.child.outputs[position]
        stands_for = self.found.tensors[source]
        roles = self._carry(output, source)
        if roles is not None:
            self.found.roles.update(roles)
            for name, role in roles.items():
                if role is Role.IDENTITY:
                    self.found.tensors[name] = stands_for
        for node in self.child.block(position):
            self._bound(node)
        self._settle(output, stands_for)

    def _settle(self, tensor: str, other: str) -> None:
        """What a block gives stands for something, so that the next one finds its weights."""
        if tensor not in self.found.tensors:
            self.found.tensors[tensor] = other
            self.found.loose.add(tensor)

    def _computed(self, node: Wired) -> Wired | None:
        """A parent's layer that computes the same of the same."""
        if node.parameter_shapes:
            return None
        known = tuple(
            self.found.tensors[name] for name in node.inputs if name in self.found.tensors
        )
        if len(known) < len(node.inputs):
            return None
        return self.computed.get((node.layer, _order(node.layer, known)))

    def _new(self, node: Wired) -> None:
        """A new sum or gate passes on what the parent has, if what is new can be silenced."""
        tensors = self.found.tensors
        known = [name for name in node.inputs if name in tensors]
        if isinstance(node.layer, Add) and len(known) == 1:
            fresh = next(name for name in node.inputs if name not in tensors)
            silent = self._zero(fresh)
            if silent is not None:
                self.found.roles.update(silent | {node.name: Role.IDENTITY})
        elif isinstance(node.layer, Scale) and known == [node.inputs[0]]:
            self.found.roles.update(self._half(node))
        else:
            return
        tensors[node.name] = tensors[known[0]]

    def _half(self, node: Wired) -> Roles:
        """A squeeze-excite whose gate is at its middle, where it learns fastest."""
        gate = self.child.by_name[node.inputs[1]]
        last = self.child.by_name.get(gate.inputs[0])
        if (
            isinstance(gate.layer, Activation)
            and gate.layer.kind in HALF_AT_ZERO
            and last is not None
            and isinstance(last.layer, Conv2d)
            and last.name not in self.found.nodes
        ):
            return {last.name: Role.ZERO, node.name: Role.HALF}
        return {}

    def _carry(self, tensor: str, source: str) -> Roles | None:
        """What must be for ``tensor`` to be ``source``; ``None`` where it cannot be."""
        if tensor == source:
            return {}
        if tensor in self.found.tensors:
            return None
        node = self.child.by_name[tensor]
        below: Roles | None = None
        match node.layer:
            case Add():
                below = self._shortcut(node, source)
            case Concat():
                below = self._halves(node, source)
            case ChannelShuffle() | BatchNorm():
                below = self._carry(node.inputs[0], source)
            case Conv2d(stride=1) if node.shape == node.input_shapes[0]:
                below = self._carry(node.inputs[0], source)
            case Activation(kind=kind) if kind in FIXED:
                (lowest, highest), (low, high) = FIXED[kind], self.bounds[source]
                if lowest <= low and high <= highest:
                    below = self._carry(node.inputs[0], source)
        return None if below is None else below | {tensor: Role.IDENTITY}

    def _shortcut(self, node: Wired, source: str) -> Roles | None:
        """A sum of the source and of nothing."""
        left, right = node.inputs
        # The source itself rather than a branch that carries it.
        for kept, dropped in ((right, left), (left, right))[:: -1 if left == source else 1]:
            carried, silent = self._carry(kept, source), self._zero(dropped)
            if carried is not None and silent is not None:
                return carried | silent
        return None

    def _halves(self, node: Wired, source: str) -> Roles | None:
        """Two halves of the source, each carried, side by side."""
        roles: Roles = {}
        halves = {
            item.layer: item.name
            for item in self.child.block(node.block)
            if item.inputs == (source,) and isinstance(item.layer, ChannelPart)
        }
        for index, name in enumerate(node.inputs):
            half = halves.get(ChannelPart(index, len(node.inputs)))
            if half is None:
                return None
            # A half is as bounded as the whole.
            self.bounds[half] = self.bounds[source]
            below = self._carry(name, half)
            if below is None:
                return None
            roles |= below | {half: Role.IDENTITY}
        return roles

    def _zero(self, tensor: str) -> Roles | None:
        """What must be for a new tensor to be zero; ``None`` where it cannot be."""
        if tensor in self.found.tensors:
            return None
        node = self.child.by_name[tensor]
        match node.layer:
            case BatchNorm() | Conv2d() | Linear() | TokenLinear():
                return {tensor: Role.ZERO}
            case Zero():
                return {}
            case Add():
                left, right = (self._zero(name) for name in node.inputs)
                return None if left is None or right is None else left | right
            case Activation(kind=kind) if kind not in ZERO_AT_ZERO:
                return None
            case Activation() | Scale() | Pool2d() | GlobalAveragePool() | Flatten():
                return self._zero(node.inputs[0])
        return None

    def _bound(self, node: Wired) -> None:
        inputs = [self.bounds[name] for name in node.inputs]
        if self.found.roles.get(node.name) is Role.IDENTITY:
            known = [self.bounds[name] for name in node.inputs if name in self.found.tensors]
            self.bounds[node.name] = known[0]
        else:
            self.bounds[node.name] = bounded(node.layer, inputs)


def _order(layer: Layer, inputs: tuple[str, ...]) -> tuple[str, ...]:
    """The inputs of a layer, those of a sum in one order."""
    return tuple(sorted(inputs)) if isinstance(layer, Add) else inputs


def _namesakes(parent: tuple[Wired, ...], child: tuple[Wired, ...]) -> dict[str, Wired]:
    """By the name of a child's layer, the parent's of its name, or else of its place and kind.

    The place is the first and the last part of a name: what an edge of a cell
    computes, whatever stands between.
    """
    found: dict[str, Wired] = {}
    own = {(node.local, type(node.layer)): node for node in parent}
    for node in child:
        other = own.pop((node.local, type(node.layer)), None)
        if other is not None:
            found[node.name] = other
    places: dict[tuple[str, str, type[Layer]], list[Wired]] = {}
    for other in own.values():
        places.setdefault(_place(other), []).append(other)
    for node in child:
        if node.name not in found and len(places.get(_place(node), ())) == 1:
            found[node.name] = places.pop(_place(node))[0]
    return found


def _place(node: Wired) -> tuple[str, str, type[Layer]]:
    parts = node.local.split(".")
    return parts[0], parts[-1], type(node.layer)
