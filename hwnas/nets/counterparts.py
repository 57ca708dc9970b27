"""Which tensor of a child network is which of its parent's, and what new layers must compute.

A child's layer with a parent's counterpart takes its weights. A new layer is
made to change nothing where it can (:mod:`hwnas.nets.roles`).
"""

from dataclasses import dataclass, field

from hwnas.nets.align import align
from hwnas.nets.bounds import FREE, Bounds, bounded
from hwnas.nets.roles import Casting, Obstacle, Role, Roles, merged
from hwnas.nets.wiring import IMAGE, Wired, Wiring
from hwnas.spaces.layers import Add, Layer, Scale


@dataclass
class Counterparts:
    """What :func:`counterparts` found.

    Args:
        nodes: By the name of a child's layer, the parent's layer that it continues.
        tensors: By the name of a child's tensor, the parent's tensor that it
            stands for; tensors that the parent has not are left out.
        roles: What layers without a counterpart must compute.
        loose: Tensors that stand for a parent's without being computed as it is.
        obstacles: By the name of a new layer, why it cannot be added without a change.
    """

    nodes: dict[str, Wired] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=lambda: {IMAGE: IMAGE})
    roles: Roles = field(default_factory=dict)
    loose: set[str] = field(default_factory=set)
    obstacles: dict[str, str] = field(default_factory=dict)


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
        self.casting = Casting(child, self.found.tensors, self.bounds)
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
        roles = self.casting.carry(output, source)
        if isinstance(roles, Obstacle):
            self.found.obstacles[output] = (
                f"its block is new and cannot give what it receives: {roles.layer} {roles.why}"
            )
        else:
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
        """A new sum or gate passes on what the parent has, where it can without a change."""
        tensors = self.found.tensors
        known = [name for name in node.inputs if name in tensors]
        if isinstance(node.layer, Add) and len(known) == 1:
            fresh = next(name for name in node.inputs if name not in tensors)
            silent = self.casting.zero(fresh)
            roles = (
                silent
                if isinstance(silent, Obstacle)
                else merged(silent, {node.name: Role.IDENTITY})
            )
            sentence = f"it is a new sum, and what it adds to {known[0]} cannot be made zero"
        elif isinstance(node.layer, Scale) and known == [node.inputs[0]]:
            roles = self.casting.half(node)
            sentence = f"it is a new gate on {known[0]}, and cannot be one half"
        else:
            sums = isinstance(node.layer, Add) and len(known) == 2
            self.found.obstacles[node.name] = (
                f"it is a new sum of {known[0]} and {known[1]}, and neither can be made zero"
                if sums
                else f"the parent has no such {type(node.layer).__name__}"
            )
            return
        if isinstance(roles, Obstacle):
            self.found.obstacles[node.name] = f"{sentence}: {roles.layer} {roles.why}"
        else:
            self.found.roles.update(roles)
        tensors[node.name] = tensors[known[0]]

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
