"""From an architecture back to a genotype: the converse of ``SearchSpace.decode``."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hwnas.errors import SpecError
from hwnas.spaces.architecture import Architecture, PlacedBlock
from hwnas.spaces.space import SearchSpace, Slot

Genes = dict[int, int]
"""Values of the choices that are decided, by the index of the choice."""

State = tuple[int, tuple[tuple[int, int], ...]]
"""How many blocks are placed, and the decided choices that slots still to come depend on."""


def recognise(space: SearchSpace, architecture: Architecture) -> tuple[int, ...]:
    """A genotype that decodes to an architecture.

    Slot by slot, all ways to place the blocks are kept: a slot either holds the
    next block, on the shape that it receives there, or is left out. Two ways that
    have placed equally many blocks and agree in every choice that later slots
    depend on have the same future, so one of them is enough; that keeps them few
    without missing any.

    Args:
        space: The space.
        architecture: What is to be found in it.

    Returns:
        Canonical genes. Where several genotypes decode to the architecture, always
        the same one of them.

    Raises:
        SpecError: The architecture is not of the space, or cannot be built.
    """
    blocks = architecture.placed
    waiting: list[Genes] = _starts(space, architecture)
    later = _later(space)
    ways: dict[State, Genes] = {_state(0, genes, later[0]): genes for genes in waiting}
    furthest = 0
    for slot, needed in zip(space.slots, later[1:], strict=True):
        found: dict[State, Genes] = {}
        for (placed, _), genes in ways.items():
            for own, block in _fillings(space, slot, genes):
                if block is None:
                    after = placed
                elif placed < len(blocks) and block == blocks[placed]:
                    after = placed + 1
                else:
                    continue
                furthest = max(furthest, after)
                merged = genes | own
                found.setdefault(_state(after, merged, needed), merged)
        ways = found
    complete = [genes for (placed, _), genes in ways.items() if placed == len(blocks)]
    if not complete:
        raise SpecError(_refusal(space, architecture, waiting, furthest))
    genotype = [[complete[0].get(index, 0) for index in range(space.length)]]
    return tuple(int(gene) for gene in space.canonical(np.array(genotype, dtype=np.int64))[0])


def _starts(space: SearchSpace, architecture: Architecture) -> list[Genes]:
    """What the shape of the images decides, in all ways."""
    index = space.resolution
    options: Sequence[Genes] = (
        [{}] if index is None else [{index: gene} for gene in range(len(space.image_sizes))]
    )
    probe = [0] * space.length
    return [
        genes
        for genes in options
        if space.input_shape([genes.get(i, gene) for i, gene in enumerate(probe)])
        == architecture.input_shape
    ]


def _later(space: SearchSpace) -> list[frozenset[int]]:
    """For each slot, and behind the last, the choices that it or a later one depends on."""
    needed: frozenset[int] = frozenset()
    found = [needed]
    for slot in reversed(space.slots):
        needed |= set(slot.choices)
        found.append(needed)
    return found[::-1]


def _state(placed: int, genes: Mapping[int, int], needed: frozenset[int]) -> State:
    return placed, tuple(sorted((i, gene) for i, gene in genes.items() if i in needed))


def _fillings(
    space: SearchSpace, slot: Slot, genes: Mapping[int, int]
) -> Iterator[tuple[Genes, PlacedBlock | None]]:
    """The settings of a slot's choices that agree with what is decided, with their blocks."""
    ranges = [
        (genes[choice],) if choice in genes else range(len(space.choices[choice].values))
        for choice in slot.choices
    ]
    for own in itertools.product(*ranges):
        yield dict(zip(slot.choices, own, strict=True)), space.slot_block(slot, own)


def _refusal(
    space: SearchSpace, architecture: Architecture, starts: Sequence[Genes], furthest: int
) -> str:
    said = f"the architecture {architecture.digest} is not of space '{space.name}': "
    advice = "; give one that the space decodes, or the space that it is of"
    if not starts:
        sizes = ", ".join(map(str, space.image_sizes))
        return (
            f"{said}it takes images {architecture.input_shape}, the space {space.input_channels} "
            f"channels of {sizes} pixels{advice}"
        )
    if furthest < len(architecture.blocks):
        block = architecture.placed[furthest]
        return f"{said}no slot can hold its block {furthest}, {block.key}{advice}"
    return f"{said}blocks are missing behind its last, or its blocks do not go together{advice}"
