"""Which block of one architecture is which of another, and how many layers tell them apart."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from hwnas.nets.layers import live_nodes
from hwnas.spaces.architecture import Architecture, PlacedBlock
from hwnas.spaces.blocks import Argument
from hwnas.spaces.layers import Layer, Shape

ALONE = 1.0
"""Cost of a block without a counterpart."""
OTHER_KIND = 1.5
OTHER_SHAPE = 0.8
OTHER_SCALE = 0.4
SHRUNK = 0.1


class Pair(NamedTuple):
    """Positions of two blocks that are each other's counterpart; ``None`` where there is none."""

    parent: int | None
    child: int | None


def align(parent: Architecture, child: Architecture) -> tuple[Pair, ...]:
    """The blocks of two architectures side by side, at the least cost (Needleman and Wunsch, 1970).

    A block that only grew costs nothing, so that a child's blocks keep their
    parent's; of equally good places for a new block, the last is taken.

    Args:
        parent: One architecture.
        child: The other.

    Returns:
        Every block of both once, both in their order.
    """
    before, after = parent.placed, child.placed
    scales = (_scales(parent), _scales(child))
    costs = [[0.0] * (len(after) + 1) for _ in range(len(before) + 1)]
    for i in range(len(before) + 1):
        for j in range(len(after) + 1):
            steps = []
            if i:
                steps.append(costs[i - 1][j] + ALONE)
            if j:
                steps.append(costs[i][j - 1] + ALONE)
            if i and j:
                steps.append(costs[i - 1][j - 1] + _cost(before, after, scales, i - 1, j - 1))
            costs[i][j] = min(steps, default=0.0)
    pairs: list[Pair] = []
    i, j = len(before), len(after)
    while i or j:
        # Sums of tenths in another order differ in their last digit.
        here = costs[i][j] + 1e-9
        if j and costs[i][j - 1] + ALONE <= here:
            j -= 1
            pairs.append(Pair(None, j))
        elif i and costs[i - 1][j] + ALONE <= here:
            i -= 1
            pairs.append(Pair(i, None))
        else:
            i, j = i - 1, j - 1
            pairs.append(Pair(i, j))
    return tuple(reversed(pairs))


def distance(parent: Architecture, child: Architecture) -> int:
    """How many layers must be added, removed or changed to turn one architecture into the other.

    Args:
        parent: One architecture.
        child: The other.
    """
    edits = int(parent.input_shape != child.input_shape)
    for pair in align(parent, child):
        before = {} if pair.parent is None else _layers(parent.placed[pair.parent])
        after = {} if pair.child is None else _layers(child.placed[pair.child])
        edits += sum(before.get(name) != after.get(name) for name in before.keys() | after.keys())
    return edits


@lru_cache(maxsize=16384)
def _layers(placed: PlacedBlock) -> dict[str, Layer]:
    return {node.name: node.layer for node in live_nodes(placed.graph)}


def _cost(
    before: Sequence[PlacedBlock],
    after: Sequence[PlacedBlock],
    scales: tuple[Sequence[float], Sequence[float]],
    i: int,
    j: int,
) -> float:
    """What it costs to call two blocks one; less than two blocks alone."""
    if before[i].spec.kind != after[j].spec.kind:
        return OTHER_KIND
    return _change(before[i], after[j]) + OTHER_SCALE * (scales[0][i] != scales[1][j])


@lru_cache(maxsize=65536)
def _change(before: PlacedBlock, after: PlacedBlock) -> float:
    if before == after:
        return 0.0
    old, new = dict(before.spec.arguments), dict(after.spec.arguments)
    shrunk = sum(not _grown(name, old.get(name, new[name]), new[name]) for name in new)
    # Only a block that gives the shape that it receives can be put in or left out.
    reshaped = sum(one != other for one, other in zip(_form(before), _form(after), strict=True))
    return min(SHRUNK * shrunk, 0.5) + OTHER_SHAPE * reshaped


def _grown(name: str, before: Argument, after: Argument) -> bool:
    if before == after:
        return True
    if isinstance(before, str) or isinstance(after, str):
        return False
    return after < before if name == "groups" else after > before


def _form(placed: PlacedBlock) -> tuple[bool, float]:
    """Whether a block keeps its shape, and how much smaller it makes the image."""
    given, received = placed.graph.output_shape, placed.input_shape
    return given == received, _side(given) / _side(received)


def _scales(architecture: Architecture) -> list[float]:
    """The height of what each block gives, as a share of the image's."""
    side = _side(architecture.input_shape)
    return [round(_side(item.graph.output_shape) / side, 2) for item in architecture.placed]


def _side(shape: Shape) -> int:
    return shape[1] if len(shape) == 3 else 1
