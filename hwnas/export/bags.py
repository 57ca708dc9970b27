"""Bags of kernels for blocks, architectures and whole spaces, without exporting a candidate.

A block on its input shape is lowered once and kept; a network's bag is the sum
of its blocks' bags, which a test holds against lowering the whole network. The
two differ by one kernel of ViT, in a way that ``docs/design.md`` describes: the
test sets it apart.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hwnas.export.skeleton import skeleton_graph
from hwnas.kernels import FUSION, FusionRules, Kernel
from hwnas.kernels.lower import lower_graph
from hwnas.spaces.architecture import Architecture, PlacedBlock
from hwnas.spaces.space import SearchSpace

ABSENT = -1
_REPORTED = 256
"""Blocks between two reports of progress."""


def fusion_rules(name: str) -> FusionRules:
    """The fusion rules of a name; ONNX Runtime's where a runtime has none of its own."""
    return FUSION.get(name, FUSION["onnxruntime"])


@lru_cache(maxsize=32768)
def _lowered(block: PlacedBlock, fusion: str) -> tuple[tuple[Kernel, int], ...]:
    graph = skeleton_graph([block], block.input_shape)
    bag = lower_graph(graph, fusion_rules(fusion), images=["input"]).kernels
    return tuple(bag.items())


def block_kernels(block: PlacedBlock, fusion: str = "onnxruntime") -> Counter[Kernel]:
    """The kernels of a block as it stands in a network, by the rules of a name."""
    return Counter(dict(_lowered(block, fusion)))


def architecture_kernels(
    architecture: Architecture, fusion: str = "onnxruntime"
) -> Counter[Kernel]:
    """The kernels of a network: the sum over its blocks."""
    total: Counter[Kernel] = Counter()
    for block in architecture.placed:
        total.update(block_kernels(block, fusion))
    return total


@dataclass(frozen=True)
class SlotBlocks:
    """Which block a slot holds for each setting of its choices.

    Args:
        choices: Indices of the choices that decide the slot.
        blocks: Index into the space's blocks, one axis per choice; ``ABSENT``
            where the slot is left out.
    """

    choices: tuple[int, ...]
    blocks: NDArray[np.int64]


class SpaceBags:
    """All blocks of a space with their kernels, and the slots that hold them.

    Args:
        space: The space.
        fusion: The name of the fusion rules that count (``kernels.fusion_name``).
    """

    def __init__(self, space: SearchSpace, fusion: str = "onnxruntime") -> None:
        self.space = space
        self.fusion = fusion
        index: dict[str, int] = {}
        self.blocks: list[PlacedBlock] = []
        slots = []
        for slot in space.slots:
            shape = tuple(len(space.choices[c].values) for c in slot.choices)
            table = np.full(shape, ABSENT, dtype=np.int64)
            for genes, block in space.slot_variants(slot):
                if block is None:
                    continue
                if block.key not in index:
                    index[block.key] = len(self.blocks)
                    self.blocks.append(block)
                table[genes] = index[block.key]
            slots.append(SlotBlocks(slot.choices, table))
        self.slots = tuple(slots)
        self.keys = tuple(block.key for block in self.blocks)
        self._kernels: tuple[Counter[Kernel], ...] | None = None

    @property
    def kernels(self) -> tuple[Counter[Kernel], ...]:
        """The kernels of each block."""
        return self._kernels if self._kernels is not None else self.prepare()

    def prepare(
        self, on_progress: Callable[[float], None] | None = None
    ) -> tuple[Counter[Kernel], ...]:
        """The kernels of each block, found now: under a millisecond a block.

        Args:
            on_progress: Told the share of the blocks that is done, 0 to 1.
        """
        found: list[Counter[Kernel]] = []
        for block in self.blocks:
            if on_progress is not None and len(found) % _REPORTED == 0:
                on_progress(len(found) / len(self.blocks))
            found.append(block_kernels(block, self.fusion))
        if on_progress is not None:
            on_progress(1.0)
        self._kernels = tuple(found)
        return self._kernels

    def block_indices(self, genotypes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Blocks of genotypes ``(n, choices)`` as ``(n, slots)``, ``ABSENT`` where left out."""
        return np.stack(
            [
                slot.blocks[tuple(genotypes[:, choice] for choice in slot.choices)]
                for slot in self.slots
            ],
            axis=1,
        )
