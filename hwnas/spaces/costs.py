"""What architectures cost without a device: parameters, operations, memory, for genotypes at once.

Each cost is a number per block, put together over the blocks by a sum or a maximum, so a
small table per slot prices any number of genotypes by look-ups.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.spaces.graph import INPUT, LayerGraph
from hwnas.spaces.space import Genotypes, SearchSpace, Slot

Floats = NDArray[np.float64]
BYTES = 4
"""Of one value, float32."""


@dataclass(frozen=True)
class Cost:
    """A cost that needs no device.

    Args:
        name: Its name.
        unit: Its unit, for people.
        of: From a block's layers to its share.
        total: From the shares of the blocks ``(slots, n)`` to the cost ``(n,)``.
    """

    name: str
    unit: str
    of: Callable[[LayerGraph], float]
    total: Callable[[Floats], Floats]


def peak_activation_bytes(graph: LayerGraph) -> int:
    """The most that the outputs which are still needed take at one time, batch 1, float32.

    Layers run in their order; an output is kept until its last reader is done,
    and while a layer runs there are its inputs and its output. A runtime that
    computes in place needs less, one that keeps work buffers more.
    """
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    last[graph.output] = len(graph.nodes)
    sizes = {name: BYTES * int(np.prod(shape)) for name, shape in graph.shapes.items()}
    alive = {INPUT}
    peak = sizes[INPUT]
    for index, node in enumerate(graph.nodes):
        alive.add(node.name)
        peak = max(peak, sum(sizes[name] for name in alive))
        alive = {name for name in alive if last.get(name, -1) > index}
    return peak


def _sum(shares: Floats) -> Floats:
    total: Floats = shares.sum(axis=0)
    return total


def _largest(shares: Floats) -> Floats:
    total: Floats = shares.max(axis=0)
    return total


COSTS = {
    cost.name: cost
    for cost in (
        Cost("parameters", "parameters", lambda graph: graph.parameters, _sum),
        Cost("macs", "multiply-accumulates", lambda graph: graph.macs, _sum),
        Cost("activation_bytes", "bytes of activations", peak_activation_bytes, _largest),
    )
}


class SlotCosts:
    """A cost of all architectures of a space.

    Args:
        space: The space; each of its blocks is built once.
        cost: Which cost.
    """

    def __init__(self, space: SearchSpace, cost: Cost) -> None:
        self.cost = cost
        self._tables: list[tuple[tuple[int, ...], Floats]] = []
        made: list[tuple[Any, Floats]] = []
        for slot in space.slots:
            # Slots that are built by one function with one set of arguments hold one table.
            build = slot.build
            maker = (build.func, build.args) if isinstance(build, partial) else (build,)
            own = (slot.choices, *maker)
            table = next((known for maker, known in made if maker == own), None)
            if table is None:
                table = self._table(space, slot)
                made.append((own, table))
            self._tables.append((slot.choices, table))

    def _table(self, space: SearchSpace, slot: Slot) -> Floats:
        table = np.zeros(tuple(len(space.choices[choice].values) for choice in slot.choices))
        for genes, block in space.slot_variants(slot):
            if block is not None:
                table[genes] = float(self.cost.of(block.graph))
        return table

    def __call__(self, genotypes: Genotypes) -> Floats:
        """The cost ``(n,)`` of genotypes ``(n, choices)``."""
        shares = [table[tuple(genotypes[:, c] for c in own)] for own, table in self._tables]
        return self.cost.total(np.stack(shares))


def costs_of(space: SearchSpace, names: Iterable[str]) -> dict[str, SlotCosts]:
    """The tables of several costs, by their names in :data:`COSTS`."""
    return {name: SlotCosts(space, COSTS[name]) for name in names}
